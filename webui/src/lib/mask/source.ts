/** Tells where the pictures of a draft are to be seen. */
import { apiUrl, outputUrl } from '../address'
import type { PictureSource } from '../drafts/draft'

/** The address of a picture that the server has; null for a file, which has none until one is made. */
export function addressOf(source: PictureSource): string | null {
  if (source.from === 'output') return outputUrl(source.path, source.version)
  if (source.from === 'input') return apiUrl(`jobs/${source.jobId}/inputs/${source.role}`)
  return null
}

/** Whether two sources are the same picture. */
export function isSameSource(a: PictureSource | undefined, b: PictureSource | undefined): boolean {
  if (!a || !b) return a === b
  if (a.from === 'file' || b.from === 'file')
    return a.from === b.from && (a as { blob: Blob }).blob === (b as typeof a & { blob: Blob }).blob
  return addressOf(a) === addressOf(b)
}
