/** Names a picture that a draft or a page takes. */
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

export function nameOfSource(source: PictureSource): string {
  if (source.from === 'file') return source.name
  if (source.from === 'input') return source.role
  return source.path.split('/').at(-1) ?? source.path
}
