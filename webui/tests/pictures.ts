/** Makes pictures as other tools leave them: PNG files with their settings inside; and reads what of them is drawn. */
import { createHash } from 'node:crypto'
import { utimesSync, writeFileSync } from 'node:fs'
import { crc32, deflateSync, inflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

function makeChunk(kind: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind, 'latin1'), data])
  const length = Buffer.alloc(4)
  const check = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, check])
}

/** Makes a PNG of 64x64 pixels of a `shade`, with `parameters` in it. */
export function makePngBytes(parameters: string, shade = 0): Buffer {
  const row = Buffer.concat([
    Buffer.from([0]),
    ...Array.from({ length: 64 }, (_, x) => Buffer.from([shade, x * 4, 128])),
  ])
  return Buffer.concat([
    SIGNATURE,
    makeChunk('IHDR', Buffer.from([0, 0, 0, 64, 0, 0, 0, 64, 8, 2, 0, 0, 0])),
    makeChunk('tEXt', Buffer.from(`parameters\0${parameters}`, 'latin1')),
    makeChunk('IDAT', deflateSync(Buffer.concat(Array.from({ length: 64 }, () => row)))),
    makeChunk('IEND', Buffer.alloc(0)),
  ])
}

/** Writes such a PNG, finished at `moment` (seconds). */
export function makePng(path: string, parameters: string, moment: number): void {
  writeFileSync(path, makePngBytes(parameters, Math.floor(moment / 86_400) % 256))
  utimesSync(path, moment, moment)
}

/** The sum of a PNG's size and pixels, whatever else is written in it. */
export function sumOfPixels(png: Buffer): string {
  const sum = createHash('sha256')
  const pixels: Buffer[] = []
  for (let at = SIGNATURE.length; at < png.length;) {
    const length = png.readUInt32BE(at)
    const kind = png.toString('latin1', at + 4, at + 8)
    const data = png.subarray(at + 8, at + 8 + length)
    if (kind === 'IHDR') sum.update(data)
    if (kind === 'IDAT') pixels.push(data)
    at += length + 12
  }
  return sum.update(inflateSync(Buffer.concat(pixels))).digest('hex')
}
