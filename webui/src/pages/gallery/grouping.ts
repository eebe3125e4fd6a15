/** Whether pictures that belong together are one tile (a preference of the page, kept on the server), and where a tile leads. */
import type { Picture } from '../../lib/events/apply'
import { writeQuery, type GalleryQuery } from '../../lib/gallery/query'
import { isGroup } from '../../lib/gallery/rows'
import { linkTo } from '../../state/router.svelte'
import { server } from '../../state/server.svelte'

export function readGrouped(): boolean | undefined {
  return (server.preferences.gallery as { grouped?: unknown } | undefined)?.grouped === true ? true : undefined
}

export function keepGrouped(grouped: boolean): void {
  const gallery = { ...(server.preferences.gallery as object | undefined), grouped }
  // What cannot be kept is shown all the same.
  void server.savePreferences({ gallery }).catch(() => undefined)
}

/** Makes the address of a picture, or of the list of those that belong together. */
export function linkOfRow(row: Picture, query: GalleryQuery): string {
  if (!isGroup(row)) return linkTo('gallery', String(row.id), writeQuery(query))
  return linkTo('gallery', '', writeQuery({ ...query, group: row.group!.id }))
}
