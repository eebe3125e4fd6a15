/** The styles of the active draft. */
import { drafts } from '../state/drafts.svelte'

/** Reads the field `styles` of a draft. */
export function chosenStyles(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
}

/** Chooses a style, or takes it away again. */
export function toggleStyle(name: string): void {
  const chosen = chosenStyles(drafts.value('styles'))
  drafts.set('styles', chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name])
}
