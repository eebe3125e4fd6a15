/** Finds what somebody means by a few letters. */

/**
 * Tells how well `query` stands for `name`, whose letters it has in their order; null where it does not. Letters that
 * lie together, and those that begin a word, count more.
 */
export function scoreFuzzy(query: string, name: string): number | null {
  const wanted = query.toLowerCase().replace(/\s+/g, '')
  const text = name.toLowerCase()
  if (!wanted) return 0
  const whole = text.indexOf(wanted)
  if (whole >= 0) return 200 - Math.min(whole, 50) + (isStart(text, whole) ? 60 : 0) - Math.min(name.length, 80) / 8
  let score = 0
  let at = -1
  for (const letter of wanted) {
    const next = text.indexOf(letter, at + 1)
    if (next < 0) return null
    score += next === at + 1 ? 6 : isStart(text, next) ? 4 : -Math.min(next - at, 6)
    at = next
  }
  return score - name.length / 8
}

function isStart(text: string, at: number): boolean {
  return at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1]!)
}

/** Sorts what stands for `query`, best first; all of it where nothing is asked. */
export function searchNames<T>(items: readonly T[], query: string, nameOf: (item: T) => string, most = Infinity): T[] {
  if (!query.trim()) return items.slice(0, most)
  const scored: { item: T; score: number }[] = []
  for (const item of items) {
    const score = scoreFuzzy(query, nameOf(item))
    if (score !== null) scored.push({ item, score })
  }
  return scored
    .sort((a, b) => b.score - a.score)
    .slice(0, most)
    .map((one) => one.item)
}
