import { describe, expect, it } from 'vitest'
import {
  arrowStep,
  clampView,
  enlargeFactor,
  fitView,
  isCut,
  pinch,
  reveal,
  smallestScale,
  toFrame,
  toPicture,
  wheelFactor,
  zoomAt,
  LARGEST_SCALE,
} from './zoom'

const area = { x: 0, y: 0, width: 400, height: 200 }
const frame = { width: 1000, height: 800 }

describe('the maths of a frame', () => {
  it('fits an area into the middle, with a margin', () => {
    expect(fitView(area, frame)).toEqual({ scale: 2.5, x: 0, y: 150 })
    expect(fitView(area, frame, 100)).toEqual({ scale: 2, x: 100, y: 200 })
    expect(fitView(area, frame, 0, 1.5)).toEqual({ scale: 1.5, x: 200, y: 250 })
  })

  it('fits an area that reaches beyond the picture', () => {
    const view = fitView({ x: -100, y: 0, width: 500, height: 200 }, frame)
    expect(toFrame(view, { x: -100, y: 0 })).toEqual({ x: 0, y: 200 })
    expect(toFrame(view, { x: 400, y: 200 })).toEqual({ x: 1000, y: 600 })
  })

  it('keeps what lies under the pointer when it zooms', () => {
    const view = fitView(area, frame)
    const point = { x: 333, y: 222 }
    const before = toPicture(view, point)
    for (const factor of [1.25, 0.4, 3]) {
      const after = toPicture(zoomAt(view, point, factor), point)
      expect(after.x).toBeCloseTo(before.x, 6)
      expect(after.y).toBeCloseTo(before.y, 6)
    }
  })

  it('zooms no further than it may', () => {
    const view = fitView(area, frame)
    expect(zoomAt(view, { x: 0, y: 0 }, 1e6).scale).toBe(LARGEST_SCALE)
    expect(zoomAt(view, { x: 0, y: 0 }, 1e-6, 0.5).scale).toBe(0.5)
    expect(smallestScale(area, frame)).toBe(1)
    expect(smallestScale({ ...area, width: 4000 }, frame)).toBeCloseTo(0.125)
  })

  it('keeps what lies under each of two fingers', () => {
    const view = { scale: 1, x: 10, y: 20 }
    const before: [{ x: number; y: number }, { x: number; y: number }] = [
      { x: 100, y: 100 },
      { x: 200, y: 100 },
    ]
    const after: typeof before = [
      { x: 150, y: 140 },
      { x: 350, y: 140 },
    ]
    const moved = pinch(view, before, after)
    expect(moved.scale).toBe(2)
    for (const at of [0, 1] as const)
      expect(toFrame(moved, toPicture(view, before[at]))).toEqual({ x: after[at].x, y: after[at].y })
  })

  it('loses no picture: a small one stays inside, a large one covers the frame', () => {
    expect(clampView({ scale: 1, x: -999, y: 9999 }, area, frame)).toEqual({ scale: 1, x: 0, y: 600 })
    expect(clampView({ scale: 10, x: 50, y: -5000 }, area, frame)).toEqual({ scale: 10, x: 0, y: -1200 })
    expect(clampView({ scale: 10, x: 50, y: -5000 }, area, frame, 30)).toEqual({ scale: 10, x: 30, y: -1230 })
  })

  it('knows whether there is somewhere to move to', () => {
    const odd = { x: 0, y: 0, width: 1023, height: 767 }
    expect(isCut(fitView(odd, frame), odd, frame)).toBe(false)
    expect(isCut({ scale: 2.6, x: 0, y: 0 }, area, frame)).toBe(true)
    expect(isCut({ scale: 1, x: 0, y: 0 }, { ...area, height: 900 }, frame)).toBe(true)
  })

  it('enlarges to one for one, and what is that large already to twice its size', () => {
    expect(enlargeFactor(0.25)).toBe(4)
    expect(enlargeFactor(1)).toBe(2)
    expect(enlargeFactor(4)).toBe(2)
  })

  it('moves by as little as brings a point into sight', () => {
    const view = { scale: 2, x: 0, y: 0 }
    expect(reveal(view, { x: 200, y: 100 }, frame)).toEqual(view)
    expect(reveal(view, { x: 0, y: 500 }, frame)).toEqual({ scale: 2, x: 24, y: -224 })
  })

  it('looks on by arrow keys', () => {
    expect(arrowStep('ArrowLeft')).toEqual({ x: -60, y: 0 })
    expect(arrowStep('a')).toBeNull()
  })

  it('zooms by the wheel in pixels, lines and pinches', () => {
    expect(wheelFactor({ deltaY: -100, deltaMode: 0, ctrlKey: false })).toBeCloseTo(1.197, 3)
    expect(wheelFactor({ deltaY: 3, deltaMode: 1, ctrlKey: false })).toBeLessThan(1)
    expect(wheelFactor({ deltaY: -10, deltaMode: 0, ctrlKey: true })).toBeGreaterThan(1.1)
    expect(wheelFactor({ deltaY: 1e9, deltaMode: 2, ctrlKey: false })).toBeGreaterThan(0.6)
  })
})
