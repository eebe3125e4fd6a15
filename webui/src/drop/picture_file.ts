/** Looks at a picture file before it is decoded, and says in words what is wrong with it. */
import type { PictureSource } from '../lib/drafts/draft'
import { formatBytes } from '../lib/format'
import { t } from '../lib/i18n'
import { HEAD_BYTES, isCutOff, judgePicture, MAX_PIXELS, probePicture, TAIL_BYTES } from '../lib/pictures/probe'
import { server } from '../state/server.svelte'

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
