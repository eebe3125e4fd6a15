/** Chooses tiles of the list, with all pictures they stand for: one, all from one to another, and those that a rectangle touches. */
import type { Picture } from '../../lib/events/apply'
import { listIds } from '../../lib/gallery/rows'
import { hasAll, NOTHING, put, range, type Selection } from '../../lib/gallery/selection'
import { attempt } from '../../state/notices.svelte'
import { gallery } from './gallery.svelte'

export class Choosing {
  /** Where a choice of several begins. */
  anchor = 0
  /** What was chosen before the rectangle. */
  private base: Selection = NOTHING

  pick(index: number): void {
    const picture = gallery.at(index)
    if (!picture) return
    const ids = listIds(picture)
    gallery.selection = put(gallery.selection, ids, !hasAll(gallery.selection, ids))
    this.anchor = index
  }

  /** Adds all from where the choice began; those that were never in sight are asked for. */
  async chooseRange(to: number): Promise<void> {
    const found = await attempt(() => gallery.picturesIn(range(this.anchor, to)))
    if (found) this.add(gallery.selection, found)
  }

  beginRectangle(adds: boolean): void {
    this.base = adds ? gallery.selection : NOTHING
  }

  touch(indexes: readonly number[]): void {
    this.add(
      this.base,
      indexes.map((at) => gallery.at(at)).filter((one) => one !== undefined),
    )
  }

  async endRectangle(indexes: readonly number[]): Promise<void> {
    const [first, last] = [indexes[0], indexes.at(-1)]
    if (first === undefined || last === undefined || indexes.every((at) => gallery.at(at))) return
    const found = await attempt(() => gallery.picturesIn({ first, end: last + 1 }))
    const wanted = new Set(indexes)
    if (found)
      this.add(
        this.base,
        found.filter((_, at) => wanted.has(first + at)),
      )
  }

  private add(to: Selection, pictures: readonly Picture[]): void {
    gallery.selection = put(to, pictures.flatMap(listIds))
  }
}
