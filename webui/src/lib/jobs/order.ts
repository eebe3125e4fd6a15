/** Where a waiting job goes: what is to be asked of the server for a move within the list. */

export type Move = { to: 'first' } | { to: 'last' } | { before: string }

/** The move that brings `id` to the place `target` (from 0) of the list without it; null: it is there already. */
export function moveTo(ids: readonly string[], id: string, target: number): Move | null {
  const from = ids.indexOf(id)
  if (from < 0) return null
  const rest = ids.filter((one) => one !== id)
  const at = Math.max(0, Math.min(rest.length, target))
  if (at === from) return null
  if (at === 0) return { to: 'first' }
  const next = rest[at]
  return next === undefined ? { to: 'last' } : { before: next }
}

/** One place up (-1) or down (+1). */
export function moveBy(ids: readonly string[], id: string, by: -1 | 1): Move | null {
  const from = ids.indexOf(id)
  return from < 0 ? null : moveTo(ids, id, from + by)
}

/** The place of a dragged row among the others, by their middles. */
export function placeAt(middles: readonly number[], y: number): number {
  const at = middles.findIndex((middle) => y < middle)
  return at < 0 ? middles.length : at
}
