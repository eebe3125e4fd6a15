/**
 * Where the server is, seen from this page. The page may lie below any path of a proxy, so nothing begins at "/":
 * the built script lies in `<root>ui/assets/`, and everything else follows from its own address.
 */
export const root: URL = import.meta.env?.DEV
  ? new URL('/', globalThis.location?.href ?? 'http://127.0.0.1/')
  : new URL('../../', import.meta.url)

/** Makes the address of a path of the API (`/queue`, `/output/a.png?v=1`). */
export function apiUrl(path: string, base: URL = root): string {
  return new URL(path.replace(/^\/+/, ''), base).href
}

/** Makes the address of a file below the output folder. Each part of the name is escaped. */
export function outputUrl(path: string, version?: string, base: URL = root): string {
  const escaped = path.split('/').map(encodeURIComponent).join('/')
  return apiUrl(`output/${escaped}${version ? `?v=${encodeURIComponent(version)}` : ''}`, base)
}

/** Makes the address of a thumbnail, at most `size` pixels (120, 256, 512 or 1024) on its longer side. */
export function thumbUrl(
  path: string,
  size: 120 | 256 | 512 | 1024,
  version?: string,
  fit: 'inside' | 'cover' = 'inside',
  base: URL = root,
): string {
  const escaped = path.split('/').map(encodeURIComponent).join('/')
  const query = new URLSearchParams({ size: String(size), fit, ...(version ? { v: version } : {}) })
  return apiUrl(`thumb/${escaped}?${query}`, base)
}

/** Makes the address of a page of this user interface (`pageUrl('gallery', '12')`). */
export function pageUrl(page = '', id = '', query: Record<string, string> = {}, base: URL = root): string {
  const ui = import.meta.env?.DEV && base === root ? '' : 'ui/'
  const path = [page, id].filter(Boolean).map(encodeURIComponent).join('/')
  const asked = new URLSearchParams(query).toString()
  return apiUrl(`${ui}${path}${asked ? `?${asked}` : ''}`, base)
}

/** Makes the address of the event stream; `since` and `epoch` ask for what was missed. */
export function socketUrl(since?: number, epoch?: string, base: URL = root): string {
  const url = new URL('ws', base)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  if (since !== undefined && epoch) url.search = new URLSearchParams({ since: String(since), epoch }).toString()
  return url.href
}
