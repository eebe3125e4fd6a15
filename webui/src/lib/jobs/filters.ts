/** Which finished jobs are listed. The address holds it, so that a filtered list can be shared and gone back to. */
import type { Job } from '../events/apply'

export const STATUSES = ['completed', 'failed', 'cancelled'] as const
export type Status = (typeof STATUSES)[number]
export const KINDS: readonly Job['type'][] = [
  'txt2img',
  'img2img',
  'txt2vid',
  'upscale',
  'convert',
  'model_download',
  'model_hash',
]

export interface Filters {
  status: Status | ''
  kind: Job['type'] | ''
  text: string
  model: string
}

export function readFilters(query: Record<string, string>): Filters {
  return {
    status: STATUSES.find((one) => one === query.status) ?? '',
    kind: KINDS.find((one) => one === query.kind) ?? '',
    text: query.q ?? '',
    model: query.model ?? '',
  }
}

export function writeFilters(filters: Filters): Record<string, string> {
  const told = { status: filters.status, kind: filters.kind, q: filters.text, model: filters.model }
  return Object.fromEntries(Object.entries(told).filter(([, value]) => value !== ''))
}

/** The query of `GET /queue`. The server's search knows a model by its words alone. */
export function askWith(filters: Filters): { status: Status[]; type?: Job['type']; search?: string } {
  const search = [filters.text.trim(), filters.model].filter(Boolean).join(' ')
  return {
    status: filters.status ? [filters.status] : [...STATUSES],
    ...(filters.kind ? { type: filters.kind } : {}),
    ...(search ? { search } : {}),
  }
}

export function isFiltered(filters: Filters): boolean {
  return Object.keys(writeFilters(filters)).length > 0
}

/** Why no ended job is listed: none passes the filters, none has ended yet, or none was ever sent. `active`: how many
 * run or wait. */
export function whyEmpty(filters: Filters, active: number): 'noMatch' | 'noneEnded' | 'empty' {
  if (isFiltered(filters)) return 'noMatch'
  return active > 0 ? 'noneEnded' : 'empty'
}
