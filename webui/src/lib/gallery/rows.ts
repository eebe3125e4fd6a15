/** What a tile stands for: one picture, or several that belong together, of which it shows the newest. */
export interface Row {
  id: number
  group?: { id: string; count: number; ids: number[] }
}

export function isGroup(row: Row): boolean {
  return (row.group?.count ?? 1) > 1
}

/** Lists the pictures that a row stands for, the one that it shows first. */
export function listIds(row: Row): readonly number[] {
  return row.group?.ids ?? [row.id]
}

export function holds(row: Row, id: number): boolean {
  return row.id === id || (row.group?.ids.includes(id) ?? false)
}

/** Adds to a row what came since; the newest of it is what the row shows then. */
export function growRow<T extends Row>(row: T, newer: T | undefined): T {
  if (!row.group || !newer?.group) return row
  const ids = [...newer.group.ids, ...row.group.ids]
  return { ...newer, group: { id: row.group.id, count: ids.length, ids } }
}
