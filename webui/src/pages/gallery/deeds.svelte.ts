/** What is done to pictures of the gallery: one, some, or all that match. Shown at once, taken back where the server refuses. */
import { saveFile } from '../../ui/save'
import { api, ask, type Schemas } from '../../lib/api/client'
import { apiUrl } from '../../lib/address'
import type { Picture } from '../../lib/events/apply'
import * as rows from '../../lib/gallery/rows'
import { countChosen, cutParts, NOTHING, type Selection } from '../../lib/gallery/selection'
import { t } from '../../lib/i18n'
import { askToDelete } from '../../pictures/deleting'
import { shelf } from '../../pictures/shelf.svelte'
import { attempt, notices } from '../../state/notices.svelte'
import { gallery } from './gallery.svelte'

/** As many as the server takes in one call. */
const MOST = 10_000
/** Numbers that fit into an address wherever it passes through. */
const MOST_IN_LINK = 300
const LONG_MS = 180_000

type Action = Pick<Schemas['BatchBody'], 'action' | 'rating' | 'board'>

/** Chooses what a tile stands for: a picture, or those that belong together. */
export function chooseRow(row: rows.Row): Selection {
  return { all: false, ids: new Set(rows.listIds(row)) }
}

/** Lists the numbers of a choice: of all that match, the server tells them. */
async function listIds(selection: Selection): Promise<number[]> {
  if (!selection.all) return [...selection.ids]
  const ids: number[] = []
  for (let cursor: string | null | undefined; cursor !== null;) {
    const query = { ...gallery.filterOf(selection), limit: 1000, ...(cursor ? { cursor } : {}) }
    const page: Schemas['GalleryShown'] = await ask((signal) => api.GET('/gallery', { params: { query }, signal }))
    ids.push(...page.items.map((one) => one.id))
    cursor = page.next
  }
  return ids.filter((id) => !selection.except.has(id))
}

async function send(ids: readonly number[], action: Action): Promise<Schemas['BatchDone']> {
  const all: Schemas['BatchDone'] = { success: true, changed: 0, failed: 0, errors: [] }
  for (const part of cutParts(ids, MOST)) {
    const done = await ask((signal) => api.POST('/gallery/batch', { body: { ids: part, ...action }, signal }), {
      timeoutMs: LONG_MS,
    })
    all.changed += done.changed
    all.failed += done.failed
    all.errors.push(...done.errors)
  }
  if (all.failed > 0) notices.tell(t.gallery.someFailed(all.failed, all.errors[0]?.error ?? ''), { tone: 'bad' })
  return all
}

/** Notes something of pictures. All that match are named by their filter, where the server can tell them by it. */
async function mark(selection: Selection, action: Action, shown: Partial<Picture>): Promise<void> {
  const back = gallery.changeShown(selection.all ? null : selection.ids, shown)
  const done = await attempt(async () => {
    if (selection.all && selection.except.size === 0 && countChosen(selection, gallery.pictures) <= MOST)
      return ask(
        (signal) => api.POST('/gallery/batch', { body: { filter: gallery.filterOf(selection), ...action }, signal }),
        { timeoutMs: LONG_MS },
      )
    return send(await listIds(selection), action)
  })
  if (!done) back()
}

export async function star(selection: Selection, on: boolean): Promise<void> {
  const count = countChosen(selection, gallery.pictures)
  if (count === 1) notices.announce(on ? t.gallery.starred : t.gallery.unstarred)
  else notices.announce(on ? t.gallery.starredSome(count) : t.gallery.unstarredSome(count))
  await mark(selection, { action: on ? 'star' : 'unstar' }, { starred: on })
}

export async function rate(selection: Selection, rating: number): Promise<void> {
  notices.announce(t.gallery.rated(rating))
  await mark(selection, { action: 'rate', rating }, { rating })
}

/** Puts pictures on a board; an empty name takes them off. */
export async function putOnBoard(selection: Selection, board: string): Promise<void> {
  await mark(selection, { action: 'board', board }, { board: board || undefined })
  if (board) notices.tell(t.gallery.onBoard(board))
}

/** Moves pictures into the recycle bin, with a way back; asks first where there is no recycle bin. */
export async function remove(selection: Selection): Promise<void> {
  const ids = await attempt(() => listIds(selection))
  if (!ids || ids.length === 0) return
  const hasBin = await attempt(() => askToDelete(t.gallery.askDelete(ids.length)))
  if (hasBin === null || hasBin === undefined) return
  const done = await attempt(() => send(ids, { action: 'delete' }))
  if (!done) return
  gallery.selection = NOTHING
  const failed = new Set(done.errors.map((one) => one.id))
  const deleted = ids.filter((id) => !failed.has(id))
  shelf.forget(new Set(deleted))
  if (done.changed > 0)
    notices.tell(hasBin ? t.gallery.deleted(done.changed) : t.gallery.deletedForGood(done.changed), {
      action: hasBin ? { label: t.common.undo, run: () => void restoreIds(deleted) } : undefined,
    })
  await gallery.refresh()
}

export async function restore(selection: Selection): Promise<void> {
  const ids = await attempt(() => listIds(selection))
  if (ids && ids.length > 0) await restoreIds(ids)
  gallery.selection = NOTHING
}

async function restoreIds(ids: readonly number[]): Promise<void> {
  const done = await attempt(() => send(ids, { action: 'restore' }))
  if (done && done.changed > 0) notices.tell(t.gallery.restored(done.changed))
  await gallery.refresh()
}

/** The link of a zip; null: there are too many numbers for one, and `saveZip` fetches it. */
export function zipLink(selection: Selection): string | null {
  if (selection.all && selection.except.size === 0) {
    const query = Object.entries(gallery.filterOf(selection)).map(([name, value]) => [name, String(value)])
    return apiUrl(`gallery/zip?${new URLSearchParams(query)}`)
  }
  if (selection.all || selection.ids.size > MOST_IN_LINK) return null
  return apiUrl(`gallery/zip?ids=${[...selection.ids].join(',')}`)
}

export async function saveZip(selection: Selection): Promise<void> {
  const ids = await attempt(() => listIds(selection))
  if (!ids) return
  const blob = await attempt(() =>
    ask(
      (signal) =>
        api.POST('/gallery/zip', { body: { ids: ids.slice(0, MOST) }, parseAs: 'blob', signal }) as Promise<{
          data?: Blob
          response: Response
        }>,
      { timeoutMs: 0 },
    ),
  )
  if (blob) saveFile(blob, 'pictures.zip')
}
