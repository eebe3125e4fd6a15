import { describe, expect, it } from 'vitest'
import { makeMask } from './bitmap'
import { extendRows } from './extend'
import { isPadded, NO_PADDING, overlapOf, paddedSize, padMask, roundPadding, setSide } from './padding'

const square = { width: 512, height: 512 }

describe('how far a picture is extended', () => {
  it('goes in steps of the family', () => {
    expect(setSide(square, NO_PADDING, 'right', 100, 64, 4096).right).toBe(128)
    expect(setSide(square, NO_PADDING, 'right', 5, 64, 4096).right).toBe(0)
    expect(setSide(square, { ...NO_PADDING, right: 64 }, 'left', 200, 64, 4096)).toEqual({
      ...NO_PADDING,
      left: 192,
      right: 64,
    })
  })

  it('makes a multiple of a picture that is none', () => {
    const odd = { width: 500, height: 300 }
    expect(setSide(odd, NO_PADDING, 'top', 1, 64, 4096).top).toBe(20)
    expect(setSide(odd, NO_PADDING, 'left', 30, 64, 4096).left).toBe(12)
    const rounded = roundPadding(odd, { ...NO_PADDING, top: 20 }, 64, 4096)
    expect(paddedSize(odd, rounded)).toEqual({ width: 512, height: 320 })
    expect(roundPadding(odd, NO_PADDING, 64, 4096)).toEqual(NO_PADDING)
    expect(roundPadding(odd, { ...NO_PADDING, top: 20 }, 64, 505).right).toBe(0)
  })

  it('stays within the largest side', () => {
    expect(setSide(square, NO_PADDING, 'bottom', 9999, 64, 1000).bottom).toBe(960 - 512)
    expect(setSide({ width: 1000, height: 1000 }, NO_PADDING, 'bottom', 64, 64, 1000).bottom).toBe(0)
  })

  it('takes a side away, and the other one takes up the rest', () => {
    const odd = { width: 500, height: 500 }
    let padding = setSide(odd, NO_PADDING, 'left', 140, 64, 4096)
    expect(padding.left).toBe(140)
    padding = setSide(odd, padding, 'right', 64, 64, 4096)
    expect(padding.right).toBe(64)
    padding = setSide(odd, padding, 'left', 0, 64, 4096)
    expect(padding).toEqual({ ...NO_PADDING, right: 76 })
    expect(isPadded(setSide(odd, padding, 'right', 0, 64, 4096))).toBe(false)
  })
})

describe('the mask of an extended picture', () => {
  it('is white where the picture is new, keeps what was drawn and fades into the picture', () => {
    const mask = makeMask(100, 80)
    mask.bits[40 * 100 + 20] = 255
    const padding = { left: 0, top: 0, right: 28, bottom: 0 }
    const padded = padMask(mask, padding, 8)
    expect([padded.width, padded.height]).toEqual([128, 80])
    const line = padded.bits.subarray(40 * 128, 41 * 128)
    expect(line[20]).toBe(255)
    expect(line.subarray(100).every((one) => one === 255)).toBe(true)
    expect(line[99]).toBeGreaterThan(128)
    expect(line[90]).toBeLessThan(255)
    expect(line[60]).toBe(0)
  })

  it('is white above and to the left as well', () => {
    const padded = padMask(makeMask(60, 60), { left: 16, top: 32, right: 0, bottom: 0 }, 4)
    expect(padded.bits.subarray(0, 32 * 76).every((one) => one === 255)).toBe(true)
    expect(padded.bits[70 * 76 + 5]).toBe(255)
    expect(padded.bits[91 * 76 + 75]).toBe(0)
    expect(overlapOf({ width: 64, height: 64 })).toBe(4)
    expect(overlapOf({ width: 4096, height: 4096 })).toBe(64)
  })
})

describe('the colours of the new area', () => {
  const line = (length: number, colour: (at: number) => number[]): Uint8ClampedArray =>
    Uint8ClampedArray.from({ length: length * 4 }, (_, at) => [...colour(at >> 2), 255][at & 3]!)
  const picture = { width: 8, height: 6 }
  const padding = { left: 4, top: 2, right: 4, bottom: 2 }
  const edges = {
    left: line(6, () => [200, 0, 0]),
    right: line(6, (at) => [0, at * 40, 0]),
    top: line(8, () => [0, 0, 100]),
    bottom: line(8, () => [50, 50, 50]),
  }
  const rgba = extendRows(picture, padding, edges, 0, 10)
  const at = (x: number, y: number): number[] => [...rgba.subarray((y * 16 + x) * 4, (y * 16 + x) * 4 + 4)]

  it('begin as the edge is, and average it farther away', () => {
    expect(at(3, 5)).toEqual([200, 0, 0, 255])
    expect(at(12, 4)).toEqual([0, 80, 0, 255])
    expect(at(6, 1)).toEqual([0, 0, 100, 255])
    expect(at(6, 8)).toEqual([50, 50, 50, 255])
    expect(at(15, 2)[1]).toBeGreaterThan(30)
  })

  it('mix in the corners and leave the picture free', () => {
    const corner = at(2, 0)
    expect(corner[0]).toBe(100)
    expect(corner[2]).toBe(50)
    expect(at(8, 5)).toEqual([0, 0, 0, 0])
  })

  it('are the same in portions', () => {
    expect(extendRows(picture, padding, edges, 8, 10)).toEqual(rgba.slice(8 * 16 * 4))
  })
})
