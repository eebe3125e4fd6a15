/** Keeps the pictures of a long list by their place in it, in pages, as far as they were asked for. */
import { holds, type Row } from './rows'
import type { Span } from './window'

export const PAGE_SIZE = 100
/** How many pages are kept: 6,000 pictures, about 4 MB. */
const MOST_PAGES = 60

export class PageCache<T extends Row> {
  private pages = new Map<number, T[]>()
  readonly size: number

  constructor(size: number = PAGE_SIZE) {
    this.size = size
  }

  /** Which pages a part of the list lies on. */
  pagesOf({ first, end }: Span): number[] {
    const found: number[] = []
    for (let page = Math.floor(first / this.size); page * this.size < end; page++) found.push(page)
    return found
  }

  /** Which pages of a part are not here yet. */
  missing(span: Span): number[] {
    return this.pagesOf(span).filter((page) => !this.pages.has(page))
  }

  /** Keeps a page. The ones that were not used for longest make room. */
  put(page: number, items: T[]): void {
    this.pages.delete(page)
    this.pages.set(page, items)
    while (this.pages.size > MOST_PAGES) this.pages.delete(this.pages.keys().next().value!)
  }

  at(index: number): T | undefined {
    return this.pages.get(Math.floor(index / this.size))?.[index % this.size]
  }

  /** Notes that a part is in use, so that it is kept. */
  touch(span: Span): void {
    for (const page of this.pagesOf(span)) {
      const items = this.pages.get(page)
      if (items) this.put(page, items)
    }
  }

  /** Where a picture is, as far as it was asked for: by itself, or as one of those that a row stands for. */
  indexOf(id: number): number | null {
    for (const [page, items] of this.pages) {
      const at = items.findIndex((one) => holds(one, id))
      if (at >= 0) return page * this.size + at
    }
    return null
  }

  /** The row that shows a picture. */
  find(id: number): T | undefined {
    const at = this.indexOf(id)
    const found = at === null ? undefined : this.at(at)
    return found?.id === id ? found : undefined
  }

  /** Changes pictures where they are. Returns what brings them back. */
  change(ids: ReadonlySet<number> | null, change: (item: T) => T): () => void {
    const before = new Map<number, T>()
    const replace = (with_: (item: T) => T): void => {
      for (const [page, items] of this.pages) this.pages.set(page, items.map(with_))
    }
    replace((item) => {
      if (ids && !ids.has(item.id)) return item
      before.set(item.id, item)
      return change(item)
    })
    return () => replace((item) => before.get(item.id) ?? item)
  }

  clear(): void {
    this.pages.clear()
  }

  get held(): number {
    return this.pages.size
  }
}

/**
 * How many new pictures are in front of the one that was the first; null: it is not among the newest any more, and
 * only the difference of the totals tells.
 */
export function countNew<T extends { id: number }>(newest: readonly T[], firstId: number | undefined): number | null {
  if (firstId === undefined) return null
  const at = newest.findIndex((one) => one.id === firstId)
  return at < 0 ? null : at
}
