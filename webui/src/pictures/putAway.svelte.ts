/** Failed jobs that were put out of sight in this visit. The Queue page still lists them. */
import { SvelteSet } from 'svelte/reactivity'

export const putAway = new SvelteSet<string>()
