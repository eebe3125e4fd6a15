import { inflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { fillRect, makeMask } from './bitmap'
import { paintColour, splitByChunks, traceOutline } from './paint'
import { encodeMask, readBrightness } from './png'

describe('a mask as a file', () => {
  it('is a grey PNG with exactly its values', async () => {
    const mask = makeMask(300, 7000)
    for (let at = 0; at < mask.bits.length; at++) mask.bits[at] = (at * 31) >> 3
    const blob = await encodeMask(mask)
    expect(blob.type).toBe('image/png')
    const bytes = Buffer.from(await blob.arrayBuffer())
    expect(bytes.subarray(1, 4).toString()).toBe('PNG')
    expect([bytes.readUInt32BE(16), bytes.readUInt32BE(20), bytes[24], bytes[25]]).toEqual([300, 7000, 8, 0])
    const length = bytes.readUInt32BE(33)
    expect(bytes.subarray(37, 41).toString()).toBe('IDAT')
    const rows = inflateSync(bytes.subarray(41, 41 + length))
    expect(rows).toHaveLength(301 * 7000)
    for (const row of [0, 1, 3483, 6999]) {
      expect(rows[row * 301]).toBe(0)
      expect(
        Buffer.compare(rows.subarray(row * 301 + 1, (row + 1) * 301), mask.bits.subarray(row * 300, (row + 1) * 300)),
      ).toBe(0)
    }
    // The known sum of an empty end chunk.
    expect(bytes.subarray(-4).toString('hex')).toBe('ae426082')
  })

  it('is read by brightness, as far as it is there', () => {
    const into = new Uint8Array(5)
    readBrightness(
      Uint8ClampedArray.from([255, 255, 255, 255, 0, 0, 0, 255, 255, 255, 255, 0, 128, 128, 128, 255]),
      into,
      1,
    )
    expect([...into]).toEqual([0, 255, 0, 0, 128])
  })
})

describe('a mask to be seen', () => {
  it('is a colour with the mask as its opacity', () => {
    const mask = makeMask(4, 4)
    mask.bits[5] = 200
    const rgba = new Uint8ClampedArray(2 * 1 * 4)
    paintColour(mask, { x0: 1, y0: 1, x1: 3, y1: 2 }, 'red', rgba)
    expect([...rgba]).toEqual([255, 40, 30, 200, 255, 40, 30, 0])
    paintColour(mask, { x0: 1, y0: 1, x1: 3, y1: 2 }, 'blue', rgba)
    expect([...rgba.subarray(0, 4)]).toEqual([40, 110, 255, 200])
  })

  it('is an outline of one pixel of the frame, at any zoom, that moves on', () => {
    const mask = makeMask(40, 40)
    fillRect(mask, { x0: 10, y0: 10, x1: 20, y1: 20 }, 255)
    const trace = (scale: number, phase: number): Uint32Array => {
      const rgba = new Uint8ClampedArray(100 * 100 * 4)
      traceOutline(mask, { scale, x: 5, y: 5 }, 100, 100, phase, rgba)
      return new Uint32Array(rgba.buffer)
    }
    const drawn = trace(2, 0).filter((one) => one !== 0)
    expect(drawn.length).toBeGreaterThan(70)
    expect(drawn.length).toBeLessThan(90)
    expect(new Set(drawn)).toEqual(new Set([0xffffffff, 0xff000000]))
    expect(trace(2, 4)).not.toEqual(trace(2, 0))
    expect(trace(0.5, 0).filter((one) => one !== 0).length).toBeLessThan(25)
  })

  it('is split along the canvases that show it', () => {
    const mask = makeMask(2500, 1200)
    const parts = [...splitByChunks({ x0: 1000, y0: 10, x1: 1030, y1: 20 }, 1024, 1, mask)]
    expect(parts).toEqual([
      [0, { x0: 1000, y0: 10, x1: 1025, y1: 20 }],
      [1, { x0: 1024, y0: 10, x1: 1030, y1: 20 }],
    ])
    expect([...splitByChunks({ x0: 1024, y0: 0, x1: 1025, y1: 1 }, 1024, 1, mask)].map(([chunk]) => chunk)).toEqual([
      0, 1,
    ])
    expect([...splitByChunks({ x0: 0, y0: 0, x1: 2500, y1: 1200 }, 1024, 1, mask)]).toHaveLength(6)
  })
})
