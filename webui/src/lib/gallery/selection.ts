/** Which pictures are chosen: some by their numbers, or all that match, except some. Values, never changed in place. */
export type Selection =
  | { all: false; ids: ReadonlySet<number> }
  /** `before`: what came later than the choice does not belong to it. */
  | { all: true; except: ReadonlySet<number>; before?: string }

export const NOTHING: Selection = { all: false, ids: new Set() }

export function has(selection: Selection, id: number): boolean {
  return selection.all ? !selection.except.has(id) : selection.ids.has(id)
}

export function hasAll(selection: Selection, ids: readonly number[]): boolean {
  return ids.every((id) => has(selection, id))
}

export function countChosen(selection: Selection, total: number): number {
  return selection.all ? Math.max(0, total - selection.except.size) : selection.ids.size
}

/** Adds pictures, or takes them off. */
export function put(selection: Selection, ids: Iterable<number>, on = true): Selection {
  const next = new Set(selection.all ? selection.except : selection.ids)
  const adds = selection.all ? !on : on
  for (const id of ids) {
    if (adds) next.add(id)
    else next.delete(id)
  }
  return selection.all ? { ...selection, except: next } : { all: false, ids: next }
}

/** Tells when the second of a picture ends: the server tells times in whole seconds. */
export function endOfSecond(time: string | undefined): string | undefined {
  const moment = time ? Date.parse(time) : Number.NaN
  return Number.isNaN(moment) ? undefined : new Date(moment + 1000).toISOString()
}

/** Chooses all that match, to the newest picture, which belongs to it. */
export function chooseAll(newest: string | undefined): Selection {
  const before = endOfSecond(newest)
  return { all: true, except: new Set(), ...(before ? { before } : {}) }
}

/** Lists the places from one to another, both included, in whichever order they are given. */
export function range(from: number, to: number): { first: number; end: number } {
  return { first: Math.min(from, to), end: Math.max(from, to) + 1 }
}

/** Cuts a list into parts that the server takes in one call. */
export function cutParts<T>(items: readonly T[], most: number): T[][] {
  const parts: T[][] = []
  for (let at = 0; at < items.length; at += most) parts.push(items.slice(at, at + most))
  return parts
}
