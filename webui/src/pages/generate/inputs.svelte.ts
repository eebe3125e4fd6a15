/** Takes pictures into the active draft: looks at a file before it is decoded, and says in words what is wrong with it. */
import { formatBytes } from '../../lib/format'
import { t } from '../../lib/i18n'
import type { DraftInputs, PictureSource } from '../../lib/drafts/draft'
import type { Picture } from '../../lib/events/apply'
import { HEAD_BYTES, isCutOff, judgePicture, MAX_PIXELS, probePicture, TAIL_BYTES } from '../../lib/pictures/probe'
import type { InputRole } from '../../lib/settings/modes'
import { fitPicture } from '../../lib/settings/sizes'
import { drafts } from '../../state/drafts.svelte'
import { server } from '../../state/server.svelte'

const BODY_BYTES = 67_108_864

/** What cannot be used, told in words. */
export class PictureRefused extends Error {}

/** Looks at a file as far as is needed to know that it can be sent, and how large its picture is. */
export async function readPicture(file: File | Blob, name = 'name' in file ? file.name : ''): Promise<PictureSource> {
  const head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer())
  const probe = probePicture(head)
  const most = server.limits.body_bytes ?? BODY_BYTES
  const words = t.generate.pictureProblems
  const problem = judgePicture(probe, file.size, most)
  if (problem === 'heavy') throw new PictureRefused(t.generate.pictureHeavy(formatBytes(most * 0.75)))
  if (problem === 'large') throw new PictureRefused(t.generate.pictureLarge(probe.width, probe.height))
  if (problem) throw new PictureRefused(words[problem])
  const tail = new Uint8Array(await file.slice(Math.max(0, file.size - TAIL_BYTES)).arrayBuffer())
  if (isCutOff(probe.kind, head, tail, file.size)) throw new PictureRefused(words.broken)
  // Only now, with a bound on its pixels, it is decoded: that alone tells damage, and how it is turned.
  let bitmap: ImageBitmap
  try {
    bitmap = await createImageBitmap(file)
  } catch {
    throw new PictureRefused(words.broken)
  }
  const { width, height } = bitmap
  bitmap.close()
  if (width * height > MAX_PIXELS) throw new PictureRefused(t.generate.pictureLarge(width, height))
  return { from: 'file', blob: file, name, width, height }
}

export function sourceOf(picture: Picture): PictureSource {
  return {
    from: 'output',
    path: picture.path,
    version: picture.version,
    width: picture.width,
    height: picture.height,
  }
}

/** Puts a picture into the draft: in the place of the one there was, or behind the other reference pictures. */
export function putInput(role: InputRole, source: PictureSource): void {
  drafts.change(({ inputs }) => {
    if (role === 'references') inputs.references = [...inputs.references, source]
    else inputs[role] = source
    // A mask is of the picture that it was drawn on.
    if (role === 'init') delete inputs.mask
  })
}

export function removeInput(role: InputRole, at = 0): () => void {
  const before = { ...drafts.active.inputs }
  const { id } = drafts.active
  drafts.change(({ inputs }) => {
    if (role === 'references') inputs.references = inputs.references.filter((_, index) => index !== at)
    else delete inputs[role]
    if (role === 'init') delete inputs.mask
  })
  return () => {
    const draft = drafts.all.find((one) => one.id === id)
    if (!draft) return
    draft.inputs = before as DraftInputs
    drafts.save(draft)
  }
}

export function moveReference(at: number, by: number): void {
  drafts.change(({ inputs }) => {
    const next = [...inputs.references]
    const [moved] = next.splice(at, 1)
    if (moved) next.splice(at + by, 0, moved)
    inputs.references = next
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
