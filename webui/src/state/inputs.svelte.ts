/** Takes pictures into the active draft, and out of it. */
import { isList, sourcesOf, type ListRole, type PictureSource } from '../lib/drafts/draft'
import type { Picture } from '../lib/events/apply'
import type { InputRole } from '../lib/settings/modes'
import { fitPicture } from '../lib/settings/sizes'
import { drafts } from './drafts.svelte'
import { server } from './server.svelte'

export function sourceOf(picture: Picture): PictureSource {
  return {
    from: 'output',
    path: picture.path,
    version: picture.version,
    width: picture.width,
    height: picture.height,
  }
}

/** Puts a picture into the draft: in the place of the one there was, or behind the others where there may be several. */
export function putInput(role: InputRole, source: PictureSource): void {
  drafts.change(({ inputs }) => {
    if (isList(role)) inputs[role] = [...sourcesOf(inputs, role), source]
    else inputs[role] = source
    // A mask is of the picture that it was drawn on.
    if (role === 'init') delete inputs.mask
  })
}

export function removeInput(role: InputRole, at = 0): () => void {
  const bringBack = drafts.remember('inputs')
  drafts.change(({ inputs }) => {
    if (isList(role)) inputs[role] = sourcesOf(inputs, role).filter((_, index) => index !== at)
    else delete inputs[role]
    if (role === 'init') delete inputs.mask
  })
  return bringBack
}

export function moveInput(role: ListRole, at: number, by: number): void {
  drafts.change(({ inputs }) => {
    const next = [...sourcesOf(inputs, role)]
    const [moved] = next.splice(at, 1)
    if (moved) next.splice(at + by, 0, moved)
    inputs[role] = next
  })
}

/** Gives what is drawn the ratio of a picture, at about the size that the model likes. */
export function useSizeOf(source: { width?: number; height?: number }): void {
  if (!source.width || !source.height) return
  const { preset, limits } = server
  const most = limits.side ?? 4096
  const size = fitPicture(
    { width: source.width, height: source.height },
    preset?.native_pixels ?? source.width * source.height,
    preset?.size_multiple ?? 8,
    64,
    most,
  )
  drafts.set('width', size.width)
  drafts.set('height', size.height)
}
