/**
 * Keeps what the gallery shows: the pictures by their place in the list, as far as they were looked at, and what is
 * chosen. A list of groups has rows that stand for several pictures.
 */
import { api, ask, type Schemas } from '../../lib/api/client'
import { errorOfThrown, type ApiError } from '../../lib/api/errors'
import type { Picture } from '../../lib/events/apply'
import { countNew, PAGE_SIZE, PageCache } from '../../lib/gallery/pages'
import { isFolded, makeFilter, nameQuery, type Filter, type GalleryQuery } from '../../lib/gallery/query'
import { growRow, holds } from '../../lib/gallery/rows'
import { chooseAll, endOfSecond, NOTHING, type Selection } from '../../lib/gallery/selection'
import type { Span } from '../../lib/gallery/window'
import { server } from '../../state/server.svelte'

/** While somebody scrolls, pages are asked for this often at most. */
const BREATH_MS = 80
const GATHER_MS = 200
/** How far a picture is looked for among those that were finished in the same second. */
const SEARCHED_PAGES = 20

class Gallery {
  query = $state.raw<GalleryQuery>({})
  /** How many rows there are; null: not known yet. */
  total = $state<number | null>(null)
  /** How many pictures those stand for. */
  pictures = $state(0)
  /** How many new ones are in front of the first that is shown. They come into sight when somebody asks for them. */
  fresh = $state(0)
  /** Counts changes of what is held; read it to follow them. */
  version = $state(0)
  problem = $state.raw<ApiError | null>(null)
  selection = $state.raw<Selection>(NOTHING)
  /** Pictures whose file could not be shown. */
  broken = $state.raw<ReadonlySet<string>>(new Set())

  /** Set by the list: whether its beginning is in sight. */
  isAtTop = true
  /** Where the list was left, to be there again. */
  scrollTop = 0

  private cache = new PageCache<Picture>()
  private firstId: number | undefined
  /** How many rows the server has in front of the first that is shown. */
  private ahead = 0
  private newestAt: string | undefined
  /** Where a list of groups ends at its beginning: a group that grows would come to the front, and move what is looked at. */
  private until: string | undefined
  /** By group: what came since then. */
  private newer: ReadonlyMap<string, Picture> = new Map()
  private wanted: Span = { first: 0, end: PAGE_SIZE }
  /** What runs for the present query. */
  private asked = new Map<number, AbortController>()
  private reading: AbortController | null = null
  private breath: ReturnType<typeof setTimeout> | null = null
  private lastAsked = 0
  private gathering: ReturnType<typeof setTimeout> | null = null
  private shownName: string | null = null

  /** Follows what happens on the server; returns what ends that. */
  follow(changed: () => void): () => void {
    const stop = server.listen((want) => {
      if (want.what !== 'pictures' && want.what !== 'gallery') return
      this.gathering ??= setTimeout(() => {
        this.gathering = null
        void this.refresh()
        changed()
      }, GATHER_MS)
    })
    return () => {
      stop()
      if (this.gathering) clearTimeout(this.gathering)
      this.gathering = null
      this.stop()
    }
  }

  /** Shows what a query finds. What was shown stays until the answer is there. */
  async show(query: GalleryQuery): Promise<void> {
    const name = nameQuery(query)
    const isNew = name !== this.shownName
    if (isNew) {
      this.selection = NOTHING
      this.wanted = { first: 0, end: PAGE_SIZE }
      this.isAtTop = true
      this.scrollTop = 0
    }
    this.query = query
    await this.refresh(isNew)
    if (!this.problem) this.shownName = name
  }

  /** Asks anew for what is in sight. New pictures in front move nothing, unless the beginning is looked at. */
  async refresh(isOther = false): Promise<void> {
    this.stop()
    const reading = (this.reading = new AbortController())
    try {
      const isLive = isOther || this.isAtTop || this.total === null
      this.until = isLive || !isFolded(this.query) ? undefined : (this.until ?? endOfSecond(this.newestAt))
      const since = this.until ? await this.fetchNewer(reading.signal) : undefined
      this.newer = new Map(since?.items.map((one) => [one.group?.id ?? '', one]))
      const newest = await this.fetchPage(0, reading.signal)
      const held = (this.total ?? 0) + this.ahead
      const ahead =
        isLive || this.until ? 0 : (countNew(newest.items, this.firstId) ?? Math.max(0, newest.total - held))
      const cache = new PageCache<Picture>()
      await Promise.all(
        cache
          .pagesOf(this.wanted)
          .filter((page) => page * PAGE_SIZE < newest.total - ahead)
          .map(async (page) => {
            const offset = page * PAGE_SIZE + ahead
            cache.put(page, offset === 0 ? newest.items : (await this.fetchPage(offset, reading.signal)).items)
          }),
      )
      this.cache = cache
      this.ahead = ahead
      this.fresh = since?.total ?? ahead
      this.total = newest.total - ahead
      this.pictures = newest.pictures ?? this.total
      if (ahead < newest.items.length) this.firstId = newest.items[ahead]!.id
      if (isLive) this.newestAt = newest.items[0]?.created_at
      this.problem = null
      // What was missing may be there again.
      this.broken = new Set()
      this.version += 1
      // What came into sight meanwhile.
      this.need(this.wanted)
    } catch (thrown) {
      const error = errorOfThrown(thrown)
      if (error.code !== 'aborted') this.problem = error
    } finally {
      if (this.reading === reading) this.reading = null
    }
  }

  /** Shows the new pictures in front. */
  async showFresh(): Promise<void> {
    this.isAtTop = true
    this.wanted = { first: 0, end: PAGE_SIZE }
    await this.refresh()
  }

  /** Says which part of the list is in sight: what is missing of it is asked for, what is asked for elsewhere is given up. */
  need(span: Span): void {
    this.wanted = span
    this.cache.touch(span)
    if (this.reading || this.breath) return
    const pause = Math.max(0, this.lastAsked + BREATH_MS - performance.now())
    if (pause === 0) this.askWanted()
    else
      this.breath = setTimeout(() => {
        this.breath = null
        this.askWanted()
      }, pause)
  }

  private askWanted(): void {
    const pages = this.cache.pagesOf(this.wanted)
    for (const [page, controller] of this.asked) if (!pages.includes(page)) controller.abort()
    const missing = this.cache.missing(this.wanted).filter((page) => !this.asked.has(page))
    if (missing.length === 0 || this.total === 0) return
    this.lastAsked = performance.now()
    for (const page of missing) void this.load(page)
  }

  private async load(page: number): Promise<void> {
    const controller = new AbortController()
    this.asked.set(page, controller)
    const cache = this.cache
    try {
      const answered = await this.fetchPage(page * PAGE_SIZE + this.ahead, controller.signal)
      if (cache !== this.cache) return
      cache.put(page, answered.items)
      this.version += 1
      // Somebody added or removed pictures, and the event is still on its way.
      if (answered.total - this.ahead !== this.total) void this.refresh()
    } catch (thrown) {
      const error = errorOfThrown(thrown)
      if (error.code !== 'aborted') this.problem = error
    } finally {
      if (this.asked.get(page) === controller) this.asked.delete(page)
    }
  }

  /** Asks for a part of the list; `singly`: of all its pictures, where it shows some as one. */
  private async fetchPage(
    offset: number,
    signal?: AbortSignal,
    limit = PAGE_SIZE,
    singly = false,
  ): Promise<Schemas['GalleryShown']> {
    const query = { ...this.listed(singly), limit, offset }
    const page = await ask((limited) => api.GET('/gallery', { params: { query }, signal: limited }), { signal })
    if (this.newer.size === 0 || singly) return page
    return { ...page, items: page.items.map((one) => growRow(one, this.newer.get(one.group?.id ?? ''))) }
  }

  private fetchNewer(signal: AbortSignal): Promise<Schemas['GalleryShown']> {
    const query = { ...makeFilter(this.query), grouped: true, after: this.until, limit: PAGE_SIZE }
    return ask((limited) => api.GET('/gallery', { params: { query }, signal: limited }), { signal })
  }

  private listed(singly: boolean): Filter & { grouped?: boolean } {
    const isOfRows = isFolded(this.query) && !singly
    return {
      ...makeFilter(this.query),
      ...(isOfRows ? { grouped: true } : {}),
      ...(isOfRows && this.until ? { before: this.until } : {}),
    }
  }

  private stop(): void {
    this.reading?.abort()
    this.reading = null
    for (const controller of this.asked.values()) controller.abort()
    this.asked.clear()
    if (this.breath) clearTimeout(this.breath)
    this.breath = null
  }

  at(index: number): Picture | undefined {
    return this.cache.at(index)
  }

  find(id: number): Picture | undefined {
    return this.cache.find(id)
  }

  indexOf(id: number): number | null {
    return this.cache.indexOf(id)
  }

  /** Returns the pictures of a part of the list, also of one that was never in sight. `singly`: as `locate`. */
  async picturesIn(span: Span, singly = false): Promise<Picture[]> {
    const found: Picture[] = []
    for (let at = span.first; at < span.end;) {
      const known = singly ? undefined : this.cache.at(at)
      if (known) {
        found.push(known)
        at += 1
        continue
      }
      const { items } = await this.fetchPage(at + this.ahead, undefined, Math.min(1000, span.end - at), singly)
      if (items.length === 0) break
      found.push(...items)
      at += items.length
    }
    return found
  }

  /**
   * Finds the place of a picture in the list; null: the query does not find it. `singly`: among all pictures of a list
   * that shows some as one.
   */
  async locate(picture: Pick<Picture, 'id' | 'created_at'>, singly = false): Promise<number | null> {
    const known = singly ? null : this.cache.indexOf(picture.id)
    if (known !== null) return known
    // All that were finished in its second or later end with it, or shortly after it.
    const filter = { ...this.listed(singly), after: picture.created_at, limit: 1 }
    const { total } = await ask((signal) => api.GET('/gallery', { params: { query: filter }, signal }))
    for (let tried = 0, end = total; tried < SEARCHED_PAGES && end > 0; tried++) {
      const offset = Math.max(0, end - PAGE_SIZE)
      const { items } = await this.fetchPage(offset, undefined, end - offset, singly)
      const at = items.findIndex((one) => holds(one, picture.id))
      if (at >= 0) return offset + at - this.ahead
      end = offset
    }
    return null
  }

  /** As `locate`, of a picture of which only the number is known. */
  async findPlace(id: number): Promise<number | null> {
    const known = this.cache.indexOf(id)
    if (known !== null) return known
    const path = { picture_id: id }
    return this.locate(await ask((signal) => api.GET('/gallery/{picture_id}', { params: { path }, signal })))
  }

  /** Shows a change at once; returns what takes it back. */
  changeShown(ids: ReadonlySet<number> | null, change: Partial<Picture>): () => void {
    const back = this.cache.change(ids, (one) => ({ ...one, ...change }))
    this.version += 1
    return () => {
      back()
      this.version += 1
    }
  }

  selectAll(): void {
    this.selection = chooseAll(this.until ? this.newestAt : this.at(0)?.created_at)
  }

  /** What a choice of all means to the server. */
  filterOf(selection: Selection): Filter {
    return { ...makeFilter(this.query), ...(selection.all && selection.before ? { before: selection.before } : {}) }
  }

  get isFolded(): boolean {
    return isFolded(this.query)
  }

  noteBroken(path: string): void {
    this.broken = new Set([...this.broken, path])
  }
}

export const gallery = new Gallery()
