/** Knows seeds: random or fixed, and which ones the pictures of one job get. */

/** What a page can count to exactly; the server takes more, but nobody types that. */
export const MAX_SEED = Number.MAX_SAFE_INTEGER

export function isRandom(seed: unknown): boolean {
  return typeof seed !== 'number' || seed < 0
}

/** Reads what was typed: a seed, random for nothing or -1, or null for what is no seed. */
export function readSeed(text: string): number | null {
  const plain = text.replace(/[\s_.,']/g, '')
  if (plain === '' || plain === '-1') return -1
  if (!/^\d+$/.test(plain)) return null
  const seed = Number(plain)
  return seed <= MAX_SEED ? seed : null
}

/** The seeds of the pictures of a job, first and last; null where they are drawn, or there is one picture. */
export function seedRange(seed: unknown, count: unknown): { from: number; to: number } | null {
  if (isRandom(seed) || typeof count !== 'number' || count < 2) return null
  return { from: seed as number, to: (seed as number) + count - 1 }
}

/** Draws a seed of the size that the server draws, too. */
export function drawSeed(random: () => number = Math.random): number {
  return Math.floor(random() * 2_147_483_647)
}
