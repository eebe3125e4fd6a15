import { describe, expect, it } from 'vitest'
import {
  cutRect,
  fillRect,
  growRect,
  invertMask,
  isEmptyMask,
  joinRects,
  makeMask,
  usedRect,
  wholeOf,
  type Mask,
} from './bitmap'
import { featherMask, growMask, shrinkMask } from './edges'
import { boundsOfRuns, fillPolygon, fillRuns, findArea } from './shapes'
import { boundsOfPiece, drawPiece, nextSize, radiusAt, splitSegment } from './stroke'

function draw(mask: Mask, from: [number, number], to: [number, number], radius: number, erases = false): void {
  const dab = ([x, y]: [number, number]) => ({ x, y, radius })
  for (const [a, b] of splitSegment(dab(from), dab(to))) drawPiece(mask, a, b, erases)
}

function count(mask: Mask, least = 128): number {
  return mask.bits.reduce((sum, one) => sum + (one >= least ? 1 : 0), 0)
}

function at(mask: Mask, x: number, y: number): number {
  return mask.bits[y * mask.width + x]!
}

describe('rectangles of a mask', () => {
  it('cuts, grows and joins', () => {
    const mask = makeMask(10, 8)
    expect(cutRect({ x0: -3, y0: 1.5, x1: 4.2, y1: 99 }, mask)).toEqual({ x0: 0, y0: 1, x1: 5, y1: 8 })
    expect(cutRect({ x0: 12, y0: 0, x1: 14, y1: 4 }, mask)).toBeNull()
    expect(growRect({ x0: 1, y0: 1, x1: 2, y1: 2 }, 1)).toEqual({ x0: 0, y0: 0, x1: 3, y1: 3 })
    const one = { x0: 1, y0: 1, x1: 2, y1: 2 }
    expect(joinRects(null, one)).toBe(one)
    expect(joinRects(one, { x0: 5, y0: 0, x1: 6, y1: 1 })).toEqual({ x0: 1, y0: 0, x1: 6, y1: 2 })
    expect(joinRects(null, null)).toBeNull()
  })

  it('finds what is used, fills and inverts', () => {
    const mask = makeMask(10, 8)
    expect(usedRect(mask)).toBeNull()
    expect(isEmptyMask(mask)).toBe(true)
    fillRect(mask, { x0: 2, y0: 3, x1: 5, y1: 6 }, 255)
    expect(usedRect(mask)).toEqual({ x0: 2, y0: 3, x1: 5, y1: 6 })
    expect(fillRect(mask, { x0: 20, y0: 0, x1: 30, y1: 2 }, 255)).toBeNull()
    expect(isEmptyMask(mask)).toBe(false)
    expect(isEmptyMask({ width: 3, height: 1, bits: Uint8Array.from([0, 0, 9]) })).toBe(false)
    invertMask(mask)
    expect(count(mask)).toBe(80 - 9)
    expect(usedRect(mask)).toEqual(wholeOf(mask))
  })
})

describe('strokes', () => {
  it('draws a round dab of the right area, soft at the very edge', () => {
    const mask = makeMask(100, 100)
    draw(mask, [50, 50], [50, 50], 20)
    expect(Math.abs(count(mask) - Math.PI * 400)).toBeLessThan(12)
    expect(at(mask, 50, 50)).toBe(255)
    expect(at(mask, 50, 75)).toBe(0)
    expect(mask.bits.some((one) => one > 0 && one < 255)).toBe(true)
  })

  it('draws a straight line without gaps, whatever its length', () => {
    const mask = makeMask(600, 400)
    draw(mask, [10, 10], [590, 390], 3)
    for (let step = 0; step <= 100; step++) {
      const x = Math.round(10 + 5.8 * step)
      const y = Math.round(10 + 3.8 * step)
      expect(at(mask, Math.min(599, x), Math.min(399, y))).toBe(255)
    }
    const length = Math.hypot(580, 380)
    expect(Math.abs(count(mask) - (6 * length + Math.PI * 9)) / count(mask)).toBeLessThan(0.02)
  })

  it('cuts long lines into pieces, so that few pixels are looked at', () => {
    const pieces = [...splitSegment({ x: 0, y: 0, radius: 8 }, { x: 320, y: 0, radius: 8 })]
    expect(pieces).toHaveLength(20)
    expect(pieces[0]![1]).toEqual(pieces[1]![0])
    expect(pieces.at(-1)![1]).toEqual({ x: 320, y: 0, radius: 8 })
  })

  it('erases along a line and leaves the rest', () => {
    const mask = makeMask(60, 60)
    mask.bits.fill(255)
    draw(mask, [0, 30], [60, 30], 5, true)
    expect(at(mask, 30, 30)).toBe(0)
    expect(at(mask, 30, 20)).toBe(255)
    expect(Math.abs(count(mask) - 60 * 50)).toBeLessThanOrEqual(60)
  })

  it('is the same when the same line is drawn twice', () => {
    const mask = makeMask(60, 60)
    draw(mask, [5, 5], [50, 40], 7)
    const once = mask.bits.slice()
    draw(mask, [5, 5], [50, 40], 7)
    expect(mask.bits).toEqual(once)
  })

  it('grows wider along a stroke where the pressure rises', () => {
    const mask = makeMask(100, 60)
    drawPiece(mask, { x: 10, y: 30, radius: 2 }, { x: 90, y: 30, radius: 20 }, false)
    const column = (x: number): number =>
      Array.from({ length: 60 }, (_, y) => at(mask, x, y)).filter((v) => v > 127).length
    expect(column(20)).toBeLessThan(column(80))
    expect(radiusAt(40, 1, true)).toBe(20)
    expect(radiusAt(40, 0, true)).toBeCloseTo(3)
    expect(radiusAt(40, 0.2, false)).toBe(20)
  })

  it('touches nothing outside of the picture', () => {
    const mask = makeMask(20, 20)
    expect(boundsOfPiece(mask, { x: -50, y: 5, radius: 4 }, { x: -40, y: 5, radius: 4 })).toBeNull()
    drawPiece(mask, { x: -50, y: 5, radius: 4 }, { x: -40, y: 5, radius: 4 }, false)
    draw(mask, [-10, 10], [40, 10], 3)
    expect(count(mask)).toBe(20 * 6)
  })

  it('changes the size by steps that fit it', () => {
    expect(nextSize(1, true, 100)).toBe(2)
    expect(nextSize(70, true, 100)).toBe(80)
    expect(nextSize(98, true, 100)).toBe(100)
    expect(nextSize(1, false, 100)).toBe(1)
  })
})

describe('shapes', () => {
  it('fills a lasso', () => {
    const mask = makeMask(50, 50)
    const corners = [
      { x: 10, y: 10 },
      { x: 40, y: 10 },
      { x: 40, y: 30 },
      { x: 10, y: 30 },
    ]
    fillPolygon(mask, corners, 255)
    expect(count(mask)).toBe(30 * 20)
    fillPolygon(mask, corners, 0)
    expect(count(mask)).toBe(0)
  })

  it('fills a lasso that is no rectangle and leaves the picture, and none of two points', () => {
    const mask = makeMask(50, 50)
    fillPolygon(
      mask,
      [
        { x: -20, y: 0 },
        { x: 50, y: 0 },
        { x: -20, y: 70 },
      ],
      255,
    )
    expect(at(mask, 0, 40)).toBe(255)
    expect(at(mask, 45, 45)).toBe(0)
    expect(
      fillPolygon(
        mask,
        [
          { x: 1, y: 1 },
          { x: 2, y: 2 },
        ],
        255,
      ),
    ).toBeNull()
    expect(fillPolygon(mask, [], 255)).toBeNull()
  })

  it('fills the inside of a drawn ring, and not the outside', () => {
    const mask = makeMask(80, 80)
    for (let step = 0; step < 64; step++) {
      const turn = (one: number): [number, number] => [
        40 + 25 * Math.cos((one / 64) * 2 * Math.PI),
        40 + 25 * Math.sin((one / 64) * 2 * Math.PI),
      ]
      draw(mask, turn(step), turn(step + 1), 2)
    }
    const runs = findArea(mask, { x: 40.4, y: 40.9 })
    expect(boundsOfRuns(runs)!.x0).toBeGreaterThan(15)
    fillRuns(mask, runs, 255)
    expect(at(mask, 40, 40)).toBe(255)
    expect(at(mask, 2, 2)).toBe(0)
    expect(Math.abs(count(mask) - Math.PI * 27 * 27)).toBeLessThan(40)
  })

  it('finds an area around corners, and what is masked as well', () => {
    const mask = makeMask(30, 30)
    fillRect(mask, { x0: 5, y0: 0, x1: 6, y1: 29 }, 255)
    fillRect(mask, { x0: 20, y0: 1, x1: 21, y1: 30 }, 255)
    expect(findArea(mask, { x: 0, y: 0 }).reduce((sum, run) => sum + run.x1 - run.x0, 0)).toBe(900 - 58)
    expect(findArea(mask, { x: 5, y: 3 }).reduce((sum, run) => sum + run.x1 - run.x0, 0)).toBe(29)
    expect(findArea(mask, { x: -1, y: 3 })).toEqual([])
    expect(boundsOfRuns([])).toBeNull()
  })
})

describe('edges', () => {
  function disc(radius: number): Mask {
    const mask = makeMask(200, 200)
    draw(mask, [100, 100], [100, 100], radius)
    return mask
  }

  it('grows and shrinks a disc to a disc', () => {
    const mask = disc(40)
    growMask(mask, 20)
    expect(Math.abs(count(mask) / (Math.PI * 3600) - 1)).toBeLessThan(0.04)
    shrinkMask(mask, 20)
    expect(Math.abs(count(mask) / (Math.PI * 1600) - 1)).toBeLessThan(0.06)
  })

  it('does not shrink from the edge of the picture', () => {
    const mask = makeMask(100, 100)
    fillRect(mask, { x0: 0, y0: 0, x1: 50, y1: 100 }, 255)
    shrinkMask(mask, 10)
    expect(count(mask)).toBe(40 * 100)
  })

  it('leaves an empty mask empty, and does nothing by 0 pixels', () => {
    const mask = makeMask(20, 20)
    expect([growMask(mask, 5), shrinkMask(mask, 5), featherMask(mask, 5)]).toEqual([null, null, null])
    const round = disc(10)
    expect([growMask(round, 0), shrinkMask(round, 0), featherMask(round, 0)]).toEqual([null, null, null])
  })

  it('feathers to both sides of an edge and keeps the middle', () => {
    const mask = makeMask(200, 60)
    fillRect(mask, { x0: 0, y0: 0, x1: 100, y1: 60 }, 255)
    featherMask(mask, 16)
    const line = Array.from({ length: 200 }, (_, x) => at(mask, x, 30))
    expect(line[40]).toBe(255)
    expect(line[160]).toBe(0)
    expect(Math.abs(line[99]! + line[100]! - 255)).toBeLessThan(6)
    expect(line.every((one, x) => x === 0 || one <= line[x - 1]!)).toBe(true)
    expect(line[92]).toBeLessThan(250)
  })
})
