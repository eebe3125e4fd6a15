/** Finds what somebody means by a few letters: words by their beginnings first, then letters in their order. */

export interface Findable {
  label: string
}

/** How well `query` names `label`: higher is better, 0 is not at all. */
export function matchLabel(query: string, label: string): number {
  const wanted = fold(query).trim()
  const text = fold(label)
  if (wanted === '') return 1
  if (text.startsWith(wanted)) return 100
  const words = wanted.split(/\s+/)
  const starts = text.split(/[\s,/_.-]+/)
  if (words.every((word) => starts.some((start) => start.startsWith(word)))) return 80
  if (text.includes(wanted)) return 60
  let at = -1
  for (const letter of wanted.replace(/\s+/g, '')) {
    at = text.indexOf(letter, at + 1)
    if (at < 0) return 0
  }
  return 20
}

function fold(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
}

/** Lists what `query` may mean, the likeliest first; of equals the order that was given. */
export function findItems<T extends Findable>(query: string, items: readonly T[], most: number): T[] {
  return items
    .map((item) => ({ item, rank: matchLabel(query, item.label) }))
    .filter((one) => one.rank > 0)
    .sort((a, b) => b.rank - a.rank)
    .slice(0, most)
    .map((one) => one.item)
}
