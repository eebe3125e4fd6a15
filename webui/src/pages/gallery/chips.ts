/** Writes in words what narrows the gallery. */
import type { ChipName } from '../../lib/gallery/query'
import { t } from '../../lib/i18n'

export function writeChip({ name, value }: { name: ChipName; value: string }): string {
  const words = t.gallery
  if (name === 'kind') return value === 'video' ? words.videos : words.stills
  if (name === 'starred') return value === 'yes' ? words.starredOnly : words.unstarredOnly
  if (name === 'rating') return words.ratingFrom(Number(value))
  if (name === 'size') return value.replace('x', ' × ')
  if (name === 'job') return words.ofOneJob
  const labels = {
    q: words.words,
    model: words.model,
    lora: words.lora,
    architecture: words.family,
    board: words.board,
    seed: words.seed,
  }
  return words.labelled(labels[name], value)
}
