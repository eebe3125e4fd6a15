import { describe, expect, it } from 'vitest'
import { isCutOff, judgePicture, MAX_PIXELS, probePicture } from './probe'

const text = (words: string): number[] => [...words].map((one) => one.charCodeAt(0))
const bytes = (...parts: (number | number[])[]): Uint8Array => new Uint8Array(parts.flat())
const u32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
const png = (width: number, height: number): Uint8Array =>
  bytes(0x89, text('PNG\r\n'), 0x1a, 0x0a, u32(13), text('IHDR'), u32(width), u32(height))
const riff = (chunk: string, ...rest: number[][]): Uint8Array =>
  bytes(text('RIFF'), [100, 0, 0, 0], text(`WEBP${chunk}`), [0, 0, 0, 0], ...rest, Array<number>(16).fill(0))

describe('probePicture', () => {
  it('reads the size of a PNG, also of one that nobody could decode', () => {
    expect(probePicture(png(50_000, 50_000))).toEqual({ kind: 'png', width: 50_000, height: 50_000 })
    expect(probePicture(bytes(0x89, text('PNG')))).toEqual({ kind: 'png', width: 0, height: 0 })
  })
  it('reads the size of a JPEG behind what stands in front', () => {
    const jpeg = bytes(0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc0, 0, 17, 8, [0, 100], [1, 44], 3, 1)
    expect(probePicture(jpeg)).toEqual({ kind: 'jpeg', width: 300, height: 100 })
    expect(probePicture(bytes(0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2))).toMatchObject({ kind: 'jpeg', width: 0 })
  })
  it('reads the size of the three kinds of WebP', () => {
    expect(probePicture(riff('VP8X', [0, 0, 0, 0], [99, 0, 0], [49, 0, 0]))).toEqual({
      kind: 'webp',
      width: 100,
      height: 50,
    })
    const bits = 99 | (49 << 14)
    expect(
      probePicture(riff('VP8L', [0x2f], [bits & 255, (bits >> 8) & 255, (bits >> 16) & 255, bits >>> 24])),
    ).toMatchObject({
      width: 100,
      height: 50,
    })
    expect(probePicture(riff('VP8 ', [0, 0, 0, 0x9d, 1, 0x2a], [100, 0], [50, 0]))).toMatchObject({
      width: 100,
      height: 50,
    })
    expect(probePicture(riff('ABCD'))).toMatchObject({ kind: 'webp', width: 0 })
    expect(probePicture(bytes(text('RIFF'), [0, 0, 0, 0], text('WEBPVP8X')))).toMatchObject({ kind: 'webp', width: 0 })
  })
  it('knows the others by name', () => {
    expect(probePicture(bytes(text('GIF89a'), 100, 0, 50, 0))).toEqual({ kind: 'gif', width: 100, height: 50 })
    expect(probePicture(bytes(text('GIF8'))).kind).toBe('gif')
    const bmp = bytes(text('BM'), Array<number>(16).fill(0), [100, 0, 0, 0], [206, 255, 255, 255])
    expect(probePicture(bmp)).toEqual({ kind: 'bmp', width: 100, height: 50 })
    expect(probePicture(bytes(0, 0, 0, 24, text('ftypheic'))).kind).toBe('heic')
    expect(probePicture(bytes(0, 0, 0, 24, text('ftypavif'))).kind).toBe('avif')
    expect(probePicture(bytes(0, 0, 0, 24, text('ftypisom'))).kind).toBe('unknown')
  })
  it('knows drawings and nonsense', () => {
    expect(probePicture(bytes(text('<?xml version="1.0"?>\n<!-- a --><svg>'))).kind).toBe('svg')
    expect(probePicture(bytes(text('<SVG viewBox'))).kind).toBe('svg')
    expect(probePicture(bytes(text('hello'))).kind).toBe('unknown')
    expect(probePicture(bytes()).kind).toBe('empty')
  })
})

describe('isCutOff', () => {
  it('misses the end of a file', () => {
    expect(isCutOff('png', png(1, 1), bytes(text('....IEND'), 1, 2), 50)).toBe(false)
    expect(isCutOff('png', png(1, 1), bytes(text('IDAT')), 50)).toBe(true)
    expect(isCutOff('jpeg', bytes(), bytes(1, 0xff, 0xd9), 3)).toBe(false)
    expect(isCutOff('jpeg', bytes(), bytes(1, 2), 3)).toBe(true)
    expect(isCutOff('webp', riff('VP8X'), bytes(), 108)).toBe(false)
    expect(isCutOff('webp', riff('VP8X'), bytes(), 107)).toBe(true)
    expect(isCutOff('gif', bytes(), bytes(), 1)).toBe(false)
  })
})

describe('judgePicture', () => {
  const judge = (kind: 'png' | 'svg' | 'heic' | 'unknown' | 'empty', width = 1, height = 1, size = 10): string | null =>
    judgePicture({ kind, width, height }, size, 67_108_864)

  it('says what keeps a file from being used', () => {
    expect(judge('png')).toBeNull()
    expect([judge('png', 1, 1, 0), judge('empty'), judge('svg'), judge('heic'), judge('unknown')]).toEqual([
      'empty',
      'empty',
      'svg',
      'heic',
      'unknown',
    ])
    expect(judge('png', 1, 1, 60_000_000)).toBe('heavy')
    expect([judge('png', 8192, 8192), judge('png', 50_000, 50_000)]).toEqual([null, 'large'])
    expect(MAX_PIXELS).toBe(8192 * 8192)
  })
})
