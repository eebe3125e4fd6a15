/** Makes pictures as other tools leave them: PNG files with their settings inside. */
import { utimesSync, writeFileSync } from 'node:fs'
import { crc32, deflateSync } from 'node:zlib'

function makeChunk(kind: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind, 'latin1'), data])
  const length = Buffer.alloc(4)
  const check = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, check])
}

/** Writes a PNG of 64x64 pixels with `parameters` in it, finished at `moment` (seconds). */
export function makePng(path: string, parameters: string, moment: number): void {
  const shade = Math.floor(moment / 86_400) % 256
  const row = Buffer.concat([
    Buffer.from([0]),
    ...Array.from({ length: 64 }, (_, x) => Buffer.from([shade, x * 4, 128])),
  ])
  const header = Buffer.from([0, 0, 0, 64, 0, 0, 0, 64, 8, 2, 0, 0, 0])
  writeFileSync(
    path,
    Buffer.concat([
      Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
      makeChunk('IHDR', header),
      makeChunk('tEXt', Buffer.from(`parameters\0${parameters}`, 'latin1')),
      makeChunk('IDAT', deflateSync(Buffer.concat(Array.from({ length: 64 }, () => row)))),
      makeChunk('IEND', Buffer.alloc(0)),
    ]),
  )
  utimesSync(path, moment, moment)
}
