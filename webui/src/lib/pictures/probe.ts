/** Looks at the first bytes of a picture file: what it is and how large, before anything is decoded or sent. */

export type PictureKind = 'png' | 'jpeg' | 'webp' | 'gif' | 'bmp' | 'avif' | 'heic' | 'svg' | 'empty' | 'unknown'

export interface Probe {
  kind: PictureKind
  /** 0 where the header does not tell it. */
  width: number
  height: number
}

export type PictureProblem = 'empty' | 'svg' | 'heic' | 'unknown' | 'heavy' | 'large' | 'broken'

/** How much of a file is enough to find its size in: a JPEG has its colour profile and a preview in front. */
export const HEAD_BYTES = 1_048_576
export const TAIL_BYTES = 65_536
/** What the server decodes: 8192 x 8192. */
export const MAX_PIXELS = 67_108_864

export function probePicture(head: Uint8Array): Probe {
  const of = (kind: PictureKind, width = 0, height = 0): Probe => ({ kind, width, height })
  if (head.length === 0) return of('empty')
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const text = (from: number, to: number): string => String.fromCharCode(...head.subarray(from, to))
  if (text(1, 4) === 'PNG' && head[0] === 0x89)
    return head.length >= 24 ? of('png', view.getUint32(16), view.getUint32(20)) : of('png')
  if (head[0] === 0xff && head[1] === 0xd8) return of('jpeg', ...sizeOfJpeg(view))
  if (text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP') return of('webp', ...sizeOfWebp(view, text(12, 16)))
  if (text(0, 4) === 'GIF8')
    return head.length >= 10 ? of('gif', view.getUint16(6, true), view.getUint16(8, true)) : of('gif')
  if (text(0, 2) === 'BM' && head.length >= 26)
    return of('bmp', Math.abs(view.getInt32(18, true)), Math.abs(view.getInt32(22, true)))
  if (text(4, 8) === 'ftyp') {
    const brand = text(8, 12)
    return of(/^avi[fs]/.test(brand) ? 'avif' : /^(hei|hev|mif|msf)/.test(brand) ? 'heic' : 'unknown')
  }
  return of(/^\s*(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)*(<!doctype svg|<svg)/i.test(decode(head)) ? 'svg' : 'unknown')
}

function decode(head: Uint8Array): string {
  return new TextDecoder().decode(head.subarray(0, 2048)).replace(/^\uFEFF/, '')
}

function sizeOfJpeg(view: DataView): [number, number] {
  let at = 2
  while (at + 9 < view.byteLength && view.getUint8(at) === 0xff) {
    const marker = view.getUint8(at + 1)
    // Fill bytes may stand in front of a marker.
    if (marker === 0xff) {
      at += 1
      continue
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (isFrame) return [view.getUint16(at + 7), view.getUint16(at + 5)]
    at += 2 + view.getUint16(at + 2)
  }
  return [0, 0]
}

function sizeOfWebp(view: DataView, chunk: string): [number, number] {
  if (view.byteLength < 30) return [0, 0]
  if (chunk === 'VP8X') {
    const three = (at: number): number => view.getUint16(at, true) | (view.getUint8(at + 2) << 16)
    return [three(24) + 1, three(27) + 1]
  }
  if (chunk === 'VP8L') {
    const bits = view.getUint32(21, true)
    return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1]
  }
  return chunk === 'VP8 ' ? [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff] : [0, 0]
}

/** Whether the end of a file is missing: browsers draw such a picture half, and say nothing. */
export function isCutOff(kind: PictureKind, head: Uint8Array, tail: Uint8Array, size: number): boolean {
  if (kind === 'png') return !includes(tail, [0x49, 0x45, 0x4e, 0x44])
  if (kind === 'jpeg') return !includes(tail, [0xff, 0xd9])
  if (kind === 'webp' && head.length >= 8)
    return new DataView(head.buffer, head.byteOffset, head.byteLength).getUint32(4, true) + 8 > size
  return false
}

function includes(bytes: Uint8Array, wanted: readonly number[]): boolean {
  for (let at = bytes.length - wanted.length; at >= 0; at -= 1)
    if (wanted.every((byte, offset) => bytes[at + offset] === byte)) return true
  return false
}

/** What keeps a file from being used; null: nothing that can be seen from outside. `bodyBytes`: the server's limit. */
export function judgePicture(probe: Probe, size: number, bodyBytes: number): PictureProblem | null {
  if (size === 0 || probe.kind === 'empty') return 'empty'
  if (probe.kind === 'svg' || probe.kind === 'heic' || probe.kind === 'unknown') return probe.kind
  // As text it is a third larger, and the rest of the request needs a little room.
  if (size > bodyBytes * 0.75 - 65_536) return 'heavy'
  return probe.width * probe.height > MAX_PIXELS ? 'large' : null
}
