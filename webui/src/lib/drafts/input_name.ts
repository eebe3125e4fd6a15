/** Names a picture that a draft or a page takes, tells where it is, and whether it is another one. */
import { apiUrl, outputUrl, thumbUrl } from '../address'
import type { PictureSource } from './draft'

/** The address at which a picture of the server is; a file of the user's own has none. */
export function addressOf(source: PictureSource): string | null {
  if (source.from === 'output') return outputUrl(source.path, source.version)
  if (source.from === 'input')
    return apiUrl(`/jobs/${encodeURIComponent(source.jobId)}/inputs/${encodeURIComponent(source.role)}`)
  return null
}

/** The address of a small version, at most 512 pixels. */
export function thumbOf(source: PictureSource): string | null {
  return source.from === 'output' ? thumbUrl(source.path, 512, source.version) : addressOf(source)
}

/** An address at which the page can show a picture. Of a file one is made; `close` frees it. */
export function openSource(
  source: PictureSource,
  known: string | null = addressOf(source),
): { url: string; close: () => void } {
  if (known !== null || source.from !== 'file') return { url: known ?? '', close: () => undefined }
  const url = URL.createObjectURL(source.blob)
  return { url, close: () => URL.revokeObjectURL(url) }
}

/** Whether two sources are the same picture. */
export function isSameSource(a: PictureSource, b: PictureSource): boolean {
  if (a.from === 'file') return b.from === 'file' && a.blob === b.blob
  return addressOf(a) === addressOf(b)
}

export function nameOfSource(source: PictureSource): string {
  if (source.from === 'file') return source.name
  if (source.from === 'input') return source.role
  return source.path.split('/').at(-1) ?? source.path
}
