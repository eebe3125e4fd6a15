/** Knows which page is shown. The address holds all of it, so that it can be shared, reloaded and gone back to. */
import { pageUrl } from '../lib/address'

export const PAGES = ['generate', 'queue', 'gallery', 'models', 'upscale', 'assistant', 'settings'] as const
export type PageName = (typeof PAGES)[number]

export interface Place {
  page: PageName | 'missing'
  /** What of the page is meant (`/ui/gallery/12`); empty for the page itself. */
  id: string
  query: Record<string, string>
}

/** Reads an address of this user interface. The start is Generate. */
export function readPlace(href: string, start: string = pageUrl()): Place {
  const url = new URL(href)
  const below = url.pathname.startsWith(new URL(start).pathname)
    ? url.pathname.slice(new URL(start).pathname.length)
    : ''
  const [page = '', ...rest] = below.split('/').filter(Boolean).map(decodeSafely)
  const query = Object.fromEntries(url.searchParams)
  if (!page) return { page: 'generate', id: '', query }
  const known = PAGES.find((one) => one === page)
  return known && rest.length <= 1 ? { page: known, id: rest[0] ?? '', query } : { page: 'missing', id: '', query }
}

function decodeSafely(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

class Router {
  place = $state.raw<Place>({ page: 'generate', id: '', query: {} })

  start(): void {
    this.place = readPlace(location.href)
    addEventListener('popstate', () => {
      this.place = readPlace(location.href)
    })
    // Links stay links (new tab, copy address); a plain click does not load the page anew.
    document.addEventListener('click', (event) => {
      if (
        event.defaultPrevented ||
        event.button !== 0 ||
        event.metaKey ||
        event.ctrlKey ||
        event.shiftKey ||
        event.altKey
      )
        return
      const link = (event.target as Element | null)?.closest?.('a[href]') as HTMLAnchorElement | null
      if (!link || link.target || link.hasAttribute('download') || !link.href.startsWith(pageUrl())) return
      // A place in this page is the browser's business: it moves the focus there.
      if (link.hash && link.pathname === location.pathname) return
      event.preventDefault()
      this.goTo(link.href)
    })
  }

  /** Shows a page: by its name, or by an address of `pageUrl`. */
  goTo(target: string, options: { replace?: boolean } = {}): void {
    const href = target.includes(':') ? target : pageUrl(target === 'generate' ? '' : target)
    if (options.replace) history.replaceState(null, '', href)
    else if (href !== location.href) history.pushState(null, '', href)
    this.place = readPlace(href)
  }

  /** Changes what the address says of the shown page, without a new entry of the history. */
  setQuery(query: Record<string, string>): void {
    const { page, id } = this.place
    this.goTo(pageUrl(page === 'generate' ? '' : page, id, query), { replace: true })
  }
}

export const router = new Router()

/** Makes the address of a page by its name. */
export function linkTo(page: PageName, id = '', query: Record<string, string> = {}): string {
  return pageUrl(page === 'generate' ? '' : page, id, query)
}
