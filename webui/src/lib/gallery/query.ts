/** What is asked of the gallery, and how the address of the page says so. */
import type { Schemas } from '../api/client'

export type Filter = Schemas['GalleryFilterBody']

export interface GalleryQuery {
  q?: string
  model?: string
  lora?: string
  architecture?: string
  kind?: 'image' | 'video'
  starred?: boolean
  board?: string
  rating?: number
  width?: number
  height?: number
  seed?: number
  jobId?: string
  /** Those that belong together, by the name that the server gave them. */
  group?: string
  /** Whether those that belong together are one tile. */
  grouped?: boolean
  /** The recycle bin instead of the gallery. */
  deleted?: boolean
}

/** Names in the address, in the order in which they are written there. */
const TEXTS = ['q', 'model', 'lora', 'architecture', 'board', 'group'] as const

function readNumber(text: string | undefined, from: number, to: number): number | undefined {
  const value = Number(text)
  return text && Number.isSafeInteger(value) && value >= from && value <= to ? value : undefined
}

/** Reads the address. What makes no sense is left out: an address can be typed by hand. */
export function readQuery(query: Record<string, string>): GalleryQuery {
  const read: GalleryQuery = {}
  for (const name of TEXTS) if (query[name]?.trim()) read[name] = query[name].trim()
  if (query.kind === 'image' || query.kind === 'video') read.kind = query.kind
  if (query.starred === 'yes') read.starred = true
  if (query.starred === 'no') read.starred = false
  const size = /^(\d+)x(\d+)$/.exec(query.size ?? '')
  const width = readNumber(size?.[1], 1, 2 ** 31 - 1)
  const height = readNumber(size?.[2], 1, 2 ** 31 - 1)
  if (width && height) Object.assign(read, { width, height })
  const rating = readNumber(query.rating, 1, 5)
  if (rating) read.rating = rating
  const seed = readNumber(query.seed, 0, Number.MAX_SAFE_INTEGER)
  if (seed !== undefined) read.seed = seed
  if (query.job) read.jobId = query.job
  if (query.grouped === 'yes' || query.grouped === 'no') read.grouped = query.grouped === 'yes'
  if (query.bin === 'yes') {
    read.deleted = true
    delete read.q
  }
  return read
}

/** Writes the address. */
export function writeQuery(query: GalleryQuery): Record<string, string> {
  const written: Record<string, string> = {}
  for (const name of TEXTS) if (query[name]) written[name] = query[name]
  if (query.kind) written.kind = query.kind
  if (query.starred !== undefined) written.starred = query.starred ? 'yes' : 'no'
  if (query.width && query.height) written.size = `${query.width}x${query.height}`
  if (query.rating) written.rating = String(query.rating)
  if (query.seed !== undefined) written.seed = String(query.seed)
  if (query.jobId) written.job = query.jobId
  if (query.grouped !== undefined) written.grouped = query.grouped ? 'yes' : 'no'
  if (query.deleted) written.bin = 'yes'
  return written
}

/** Whether a query asks for pictures that belong together: those are shown one by one. */
export function isOfOneGroup(query: GalleryQuery): boolean {
  return Boolean(query.group || query.jobId)
}

/** Whether the list has rows that stand for several pictures. */
export function isFolded(query: GalleryQuery): boolean {
  return query.grouped === true && !isOfOneGroup(query)
}

/** Makes what the server is asked for: pictures, however they are shown. */
export function makeFilter(query: GalleryQuery): Filter {
  const { jobId, grouped: _grouped, ...rest } = query
  const filter = { ...rest, ...(jobId ? { job_id: jobId } : {}) }
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as Filter
}

/** Names a query: two that ask for the same have the same name. */
export function nameQuery(query: GalleryQuery): string {
  return new URLSearchParams(writeQuery(query)).toString()
}

export type ChipName =
  'q' | 'model' | 'lora' | 'architecture' | 'board' | 'kind' | 'starred' | 'size' | 'rating' | 'seed' | 'job'

/** Lists what narrows the gallery, one chip each; the words of the search stand in their field, a group has its way back. */
export function listChips(query: GalleryQuery): { name: ChipName; value: string }[] {
  const { q: _words, bin: _bin, group: _group, grouped: _grouped, ...rest } = writeQuery(query)
  return Object.entries(rest).map(([name, value]) => ({ name: name as ChipName, value }))
}

/** Takes one chip away. */
export function dropChip(query: GalleryQuery, name: ChipName): GalleryQuery {
  const written = writeQuery(query)
  delete written[name]
  return readQuery(written)
}

/** Takes all chips away. */
export function clearChips({ q, group, grouped, deleted }: GalleryQuery): GalleryQuery {
  return { q, group, grouped, deleted }
}

export function isNarrowed(query: GalleryQuery): boolean {
  const { bin: _bin, grouped: _grouped, ...rest } = writeQuery(query)
  return Object.keys(rest).length > 0
}
