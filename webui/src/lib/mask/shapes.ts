/** Fills shapes: a polygon that was drawn by hand, and what hangs together. */
import type { Point } from '../zoom'
import { cutRect, type Mask, type Rect } from './bitmap'

export function boundsOfPoints(mask: Mask, points: readonly Point[]): Rect | null {
  if (points.length === 0) return null
  const bounds = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity }
  for (const { x, y } of points) {
    bounds.x0 = Math.min(bounds.x0, x)
    bounds.y0 = Math.min(bounds.y0, y)
    bounds.x1 = Math.max(bounds.x1, x)
    bounds.y1 = Math.max(bounds.y1, y)
  }
  return cutRect(bounds, mask)
}

/** Fills the inside of a closed line (even-odd: where it crosses itself, the second time is outside). */
export function fillPolygon(mask: Mask, points: readonly Point[], value: number): Rect | null {
  const bounds = boundsOfPoints(mask, points)
  if (!bounds || points.length < 3) return null
  const crossings: number[] = []
  for (let y = bounds.y0; y < bounds.y1; y++) {
    const middle = y + 0.5
    crossings.length = 0
    for (let at = 0; at < points.length; at++) {
      const a = points[at]!
      const b = points[(at + 1) % points.length]!
      if (a.y <= middle !== b.y <= middle) crossings.push(a.x + ((middle - a.y) / (b.y - a.y)) * (b.x - a.x))
    }
    crossings.sort((a, b) => a - b)
    for (let at = 0; at + 1 < crossings.length; at += 2) {
      const from = Math.max(0, Math.round(crossings[at]!))
      const to = Math.min(mask.width, Math.round(crossings[at + 1]!))
      if (from < to) mask.bits.fill(value, y * mask.width + from, y * mask.width + to)
    }
  }
  return bounds
}

/** A run of one row that a fill takes. */
export interface Run {
  y: number
  x0: number
  x1: number
}

/**
 * Finds what hangs together with a pixel: all that is masked as it is, or is not. Row by row, so that large areas are
 * quick. Nothing is changed; `fillRuns` does that.
 */
export function findArea(mask: Mask, at: Point): Run[] {
  const { width, height, bits } = mask
  const startX = Math.floor(at.x)
  const startY = Math.floor(at.y)
  if (startX < 0 || startY < 0 || startX >= width || startY >= height) return []
  const isMasked = bits[startY * width + startX]! >= 128
  const seen = new Uint8Array(width * height)
  const takes = (index: number): boolean => seen[index] === 0 && bits[index]! >= 128 === isMasked
  const runs: Run[] = []
  const waiting: number[] = [startY * width + startX]
  while (waiting.length > 0) {
    const index = waiting.pop()!
    if (!takes(index)) continue
    const y = Math.floor(index / width)
    const row = y * width
    let x0 = index - row
    let x1 = x0 + 1
    while (x0 > 0 && takes(row + x0 - 1)) x0--
    while (x1 < width && takes(row + x1)) x1++
    seen.fill(1, row + x0, row + x1)
    runs.push({ y, x0, x1 })
    for (const next of [y - 1, y + 1]) {
      if (next < 0 || next >= height) continue
      // One seed for each stretch of the neighbouring row.
      let wasIn = false
      for (let x = x0; x < x1; x++) {
        const isIn = takes(next * width + x)
        if (isIn && !wasIn) waiting.push(next * width + x)
        wasIn = isIn
      }
    }
  }
  return runs
}

export function boundsOfRuns(runs: readonly Run[]): Rect | null {
  if (runs.length === 0) return null
  const bounds = { x0: Infinity, y0: Infinity, x1: 0, y1: 0 }
  for (const run of runs) {
    bounds.x0 = Math.min(bounds.x0, run.x0)
    bounds.x1 = Math.max(bounds.x1, run.x1)
    bounds.y0 = Math.min(bounds.y0, run.y)
    bounds.y1 = Math.max(bounds.y1, run.y + 1)
  }
  return bounds
}

export function fillRuns(mask: Mask, runs: readonly Run[], value: number): void {
  for (const { y, x0, x1 } of runs) mask.bits.fill(value, y * mask.width + x0, y * mask.width + x1)
}
