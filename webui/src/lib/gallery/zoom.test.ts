import { describe, expect, it } from 'vitest'
import { clampView, fitScale, FITTED, panBy, readPinch, scaleOf, switchView, zoomBy } from './zoom'

const frame = { width: 800, height: 600 }
const large = { width: 1600, height: 1200 }
const small = { width: 64, height: 64 }

describe('fitScale', () => {
  it('makes large ones smaller, and small ones larger only to a degree', () => {
    expect(fitScale(large, frame)).toBe(0.5)
    expect(fitScale(small, frame)).toBe(4)
    expect(fitScale({ width: 0, height: 0 }, frame)).toBe(1)
  })
})

describe('zoomBy', () => {
  it('keeps what is under the pointer', () => {
    const at = { x: 100, y: 50 }
    const view = zoomBy(FITTED, 4, at, large, frame)
    expect(view.scale).toBe(2)
    // The point of the picture under the pointer is the same before and after.
    expect((at.x - view.x) / 2).toBeCloseTo(at.x / 0.5)
  })
  it('ends at fitting, and at a largest scale', () => {
    const view = zoomBy(FITTED, 4, { x: 0, y: 0 }, large, frame)
    expect(zoomBy(view, 0.01, { x: 0, y: 0 }, large, frame)).toEqual(FITTED)
    expect(zoomBy(view, 100, { x: 0, y: 0 }, large, frame).scale).toBe(16)
  })
})

describe('switchView', () => {
  it('goes to one for one and back', () => {
    const view = switchView(FITTED, { x: 0, y: 0 }, large, frame)
    expect(view.scale).toBe(1)
    expect(switchView(view, { x: 0, y: 0 }, large, frame)).toEqual(FITTED)
    expect(switchView(FITTED, { x: 0, y: 0 }, small, frame).scale).toBe(8)
  })
})

describe('panBy', () => {
  it('leaves no room beside the picture', () => {
    const view = { scale: 1, x: 0, y: 0 }
    expect(panBy(view, 9999, -9999, large, frame)).toEqual({ scale: 1, x: 400, y: -300 })
    expect(panBy(FITTED, 5, 5, large, frame)).toEqual(FITTED)
    expect(clampView({ scale: 1, x: 50, y: 50 }, small, frame)).toEqual({ scale: 1, x: 0, y: 0 })
  })
})

it('scaleOf is the one that is drawn', () => {
  expect(scaleOf(FITTED, large, frame)).toBe(0.5)
  expect(scaleOf({ scale: 3, x: 0, y: 0 }, large, frame)).toBe(3)
})

it('readPinch', () => {
  expect(
    readPinch([
      { x: 0, y: 0 },
      { x: 6, y: 8 },
    ]),
  ).toEqual({ apart: 10, x: 3, y: 4 })
})
