/** Goes on from a result: it becomes the start picture, and the earlier ones can be stepped back to. */
import type { DraftInputs } from '../lib/drafts/draft'
import type { Picture } from '../lib/events/apply'
import { drafts } from '../state/drafts.svelte'

interface Earlier {
  init: DraftInputs['init']
  mask: DraftInputs['mask']
  width: unknown
  height: unknown
}

const MOST = 20

class SourceHistory {
  /** Earlier start pictures of each draft with their masks, the last one at the end. */
  private stacks = $state.raw<Record<string, Earlier[]>>({})
  /** How many there are for the draft that is shown. */
  readonly steps = $derived(this.stacks[drafts.activeId]?.length ?? 0)

  /** Keeps the start picture of the active draft, which is about to be replaced. */
  keep(): void {
    const { id, inputs, values } = drafts.active
    const stack = this.stacks[id] ?? []
    const earlier = { init: inputs.init, mask: inputs.mask, width: values.width, height: values.height }
    this.stacks = { ...this.stacks, [id]: [...stack, earlier].slice(-MOST) }
  }

  /** Takes a picture as the new start picture; its mask begins empty. */
  accept(picture: Picture): void {
    this.keep()
    drafts.change(({ inputs }) => {
      const { path, version, width, height } = picture
      inputs.init = { from: 'output', path, version, width, height }
      delete inputs.mask
    })
    if (picture.width && picture.height) {
      drafts.set('width', picture.width)
      drafts.set('height', picture.height)
    }
  }

  /** Goes back to the start picture before, with the mask and the size that belonged to it. Returns whether there was one. */
  stepBack(): boolean {
    const { id } = drafts.active
    const stack = this.stacks[id] ?? []
    const earlier = stack.at(-1)
    if (!earlier) return false
    this.stacks = { ...this.stacks, [id]: stack.slice(0, -1) }
    drafts.change(({ inputs, values }) => {
      for (const role of ['init', 'mask'] as const)
        if (earlier[role]) inputs[role] = earlier[role]
        else delete inputs[role]
      for (const side of ['width', 'height'] as const)
        if (earlier[side] === undefined) delete values[side]
        else values[side] = earlier[side]
    })
    return true
  }
}

export const sourceHistory = new SourceHistory()
