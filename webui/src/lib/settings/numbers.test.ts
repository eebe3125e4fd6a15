import { describe, expect, it } from 'vitest'
import { drawSeed, isRandom, MAX_SEED, readSeed, seedRange } from './seeds'
import { fitPicture, followSide, shapeOf, snapSide, splitSizes, writeRatio } from './sizes'

describe('sizes', () => {
  const size = (ratio: string, width: number, height: number) => ({ ratio, width, height })

  it('gives the best known ratios a button, and two of the same size only one', () => {
    const sizes = [
      size('16:9', 80, 48),
      size('3:2', 80, 48),
      size('1:1', 64, 64),
      size('21:9', 112, 48),
      size('4:3', 64, 48),
    ]
    const { buttons, others } = splitSizes(sizes, 3)
    expect(buttons.map((one) => one.ratio)).toEqual(['1:1', '4:3', '16:9'])
    expect(others.map((one) => one.ratio)).toEqual(['21:9'])
  })
  it('writes the ratio of two sides', () => {
    expect([writeRatio(1024, 768), writeRatio(64, 64), writeRatio(0, 5), writeRatio(1.5, 2)]).toEqual([
      '4:3',
      '1:1',
      '',
      '',
    ])
  })
  it('draws a shape of about the same area, however narrow', () => {
    expect(shapeOf(64, 64)).toEqual({ width: 16, height: 16 })
    expect(shapeOf(1600, 900).width).toBeGreaterThan(shapeOf(1600, 900).height)
    expect(shapeOf(10_000, 10)).toEqual(shapeOf(2_500, 1_000))
  })
  it('brings a side to the step, within the limits', () => {
    expect([snapSide(70, 16, 8, 4096), snapSide(1, 16, 8, 4096), snapSide(9999, 16, 8, 4090)]).toEqual([64, 16, 4080])
  })
  it('keeps a locked ratio', () => {
    expect(followSide('width', 512, { width: 1024, height: 768 }, 16, 8, 4096)).toBe(384)
    expect(followSide('height', 384, { width: 1024, height: 768 }, 16, 8, 4096)).toBe(512)
  })
  it('fits a picture into what the family likes', () => {
    expect(fitPicture({ width: 4000, height: 3000 }, 1_048_576, 64, 8, 4096)).toEqual({ width: 1152, height: 896 })
  })
})

describe('seeds', () => {
  it('reads what was typed', () => {
    expect([readSeed('42'), readSeed(' 1.847.203.344 '), readSeed(''), readSeed('-1')]).toEqual([
      42, 1847203344, -1, -1,
    ])
    expect([readSeed('4x'), readSeed('-3'), readSeed('99999999999999999999')]).toEqual([null, null, null])
    expect(readSeed(String(MAX_SEED))).toBe(MAX_SEED)
  })
  it('knows random ones', () => {
    expect([isRandom(-1), isRandom(undefined), isRandom(0)]).toEqual([true, true, false])
  })
  it('tells the seeds of a job', () => {
    expect(seedRange(7, 4)).toEqual({ from: 7, to: 10 })
    expect([seedRange(-1, 4), seedRange(7, 1), seedRange(7, undefined)]).toEqual([null, null, null])
  })
  it('draws whole numbers', () => {
    expect(drawSeed(() => 0.5)).toBe(1_073_741_823)
    expect(drawSeed()).toBeGreaterThanOrEqual(0)
  })
})
