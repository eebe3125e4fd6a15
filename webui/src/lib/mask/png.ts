/** Writes a mask as a grey PNG file, packed by the browser off the main thread: no canvas, no colours, exact values. */
import type { Mask } from './bitmap'

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10]

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1
  return value
})

function checksum(bytes: Uint8Array): number {
  let value = 0xffffffff
  for (const byte of bytes) value = TABLE[(value ^ byte) & 255]! ^ (value >>> 8)
  return (value ^ 0xffffffff) >>> 0
}

function makeChunk(name: string, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const chunk = new Uint8Array(content.length + 12)
  const view = new DataView(chunk.buffer)
  view.setUint32(0, content.length)
  for (let at = 0; at < 4; at++) chunk[4 + at] = name.charCodeAt(at)
  chunk.set(content, 8)
  view.setUint32(content.length + 8, checksum(chunk.subarray(4, content.length + 8)))
  return chunk
}

/** Makes the file. The rows are handed on in portions, so that a large mask is never there twice. */
export async function encodeMask({ width, height, bits }: Mask): Promise<Blob> {
  const portion = Math.max(1, Math.floor((1 << 20) / (width + 1)))
  let row = 0
  const rows = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      const end = Math.min(height, row + portion)
      const lines = new Uint8Array((width + 1) * (end - row))
      for (let at = 0; row < end; row++, at += width + 1)
        lines.set(bits.subarray(row * width, (row + 1) * width), at + 1)
      controller.enqueue(lines)
      if (row === height) controller.close()
    },
  })
  const packed = new Uint8Array(await new Response(rows.pipeThrough(new CompressionStream('deflate'))).arrayBuffer())
  const head = new Uint8Array(13)
  const view = new DataView(head.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  head.set([8, 0, 0, 0, 0], 8)
  return new Blob(
    [
      Uint8Array.from(SIGNATURE),
      makeChunk('IHDR', head),
      makeChunk('IDAT', packed),
      makeChunk('IEND', new Uint8Array()),
    ],
    { type: 'image/png' },
  )
}

/** Makes mask values of pixels: how bright they are, as far as they are there. */
export function readBrightness(rgba: Uint8ClampedArray, into: Uint8Array, start = 0): void {
  for (let at = 0, to = start; at < rgba.length; at += 4, to++)
    into[to] = Math.round(((0.299 * rgba[at]! + 0.587 * rgba[at + 1]! + 0.114 * rgba[at + 2]!) * rgba[at + 3]!) / 255)
}
