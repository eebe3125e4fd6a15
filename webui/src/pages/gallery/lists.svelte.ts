/** Keeps what stands around the pictures: months, boards, and what there is to choose from. Lists that fail are missing, and nothing else. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { isFolded, makeFilter, type GalleryQuery } from '../../lib/gallery/query'
import { placeMonths } from '../../lib/gallery/scrubber'

class Lists {
  months = $state.raw<Schemas['MonthCount'][]>([])
  facets = $state.raw<Schemas['FacetsShown'] | null>(null)
  boards = $state.raw<Schemas['BoardShown'][]>([])
  readonly places = $derived(placeMonths(this.months))

  private reading: AbortController | null = null

  async load(query: GalleryQuery): Promise<void> {
    this.reading?.abort()
    const reading = (this.reading = new AbortController())
    const options = { signal: reading.signal }
    const filter = makeFilter(query)
    const deleted = { ...(query.deleted ? { deleted: true } : {}) }
    const keep = async <T>(asked: Promise<T>, take: (told: T) => void): Promise<void> => {
      const told = await asked.catch(() => undefined)
      if (told !== undefined && !reading.signal.aborted) take(told)
    }
    const months = {
      ...filter,
      utc_offset: -new Date().getTimezoneOffset(),
      ...(isFolded(query) ? { grouped: true } : {}),
    }
    await Promise.all([
      keep(
        ask((signal) => api.GET('/gallery/months', { params: { query: months }, signal }), options),
        (told) => (this.months = told.months),
      ),
      // Of all pictures, not of those that are found: else what is chosen could not be changed.
      keep(
        ask((signal) => api.GET('/gallery/facets', { params: { query: deleted }, signal }), options),
        (told) => (this.facets = told),
      ),
      keep(
        ask((signal) => api.GET('/gallery/boards', { signal }), options),
        (told) => (this.boards = told.boards),
      ),
    ])
  }

  stop(): void {
    this.reading?.abort()
  }
}

export const lists = new Lists()
