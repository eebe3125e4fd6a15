/** Draws strokes: a round brush along a line, with soft pixels at its very edge alone. */
import type { Point } from '../zoom'
import { cutRect, type Mask, type Rect } from './bitmap'

/** A point of a stroke, and the brush's radius there. */
export interface Dab extends Point {
  radius: number
}

/** Cuts a segment into pieces about as long as the brush is wide, so that a long slanting line touches few pixels. */
export function* splitSegment(from: Dab, to: Dab): Generator<[Dab, Dab]> {
  const length = Math.hypot(to.x - from.x, to.y - from.y)
  const pieces = Math.max(1, Math.ceil(length / Math.max(16, 2 * Math.max(from.radius, to.radius))))
  let last = from
  for (let piece = 1; piece <= pieces; piece++) {
    const share = piece / pieces
    const next = {
      x: from.x + (to.x - from.x) * share,
      y: from.y + (to.y - from.y) * share,
      radius: from.radius + (to.radius - from.radius) * share,
    }
    yield [last, next]
    last = next
  }
}

/** What a piece of a stroke may touch. */
export function boundsOfPiece(mask: Mask, from: Dab, to: Dab): Rect | null {
  const reach = Math.max(from.radius, to.radius) + 1
  return cutRect(
    {
      x0: Math.min(from.x, to.x) - reach,
      y0: Math.min(from.y, to.y) - reach,
      x1: Math.max(from.x, to.x) + reach,
      y1: Math.max(from.y, to.y) + reach,
    },
    mask,
  )
}

/** Draws a piece of a stroke, or erases along it. Pixels are measured at their middle. */
export function drawPiece(mask: Mask, from: Dab, to: Dab, erases: boolean): void {
  const bounds = boundsOfPiece(mask, from, to)
  if (!bounds) return
  const { width, bits } = mask
  const dx = to.x - from.x
  const dy = to.y - from.y
  const square = dx * dx + dy * dy
  const widening = to.radius - from.radius
  for (let y = bounds.y0; y < bounds.y1; y++) {
    const py = y + 0.5 - from.y
    const row = y * width
    for (let x = bounds.x0; x < bounds.x1; x++) {
      const px = x + 0.5 - from.x
      let along = square > 0 ? (px * dx + py * dy) / square : 0
      along = along < 0 ? 0 : along > 1 ? 1 : along
      const ox = px - dx * along
      const oy = py - dy * along
      const far = ox * ox + oy * oy
      const radius = from.radius + widening * along
      const outer = radius + 0.5
      if (far >= outer * outer) continue
      const inner = radius - 0.5
      const cover = inner > 0 && far <= inner * inner ? 255 : Math.min(255, (outer - Math.sqrt(far)) * 255 + 0.5) | 0
      const at = row + x
      if (erases) {
        if (bits[at]! > 255 - cover) bits[at] = 255 - cover
      } else if (bits[at]! < cover) bits[at] = cover
    }
  }
}

/** How wide the brush is under a pressure from 0 to 1; a mouse has none. */
export function radiusAt(size: number, pressure: number, usesPressure: boolean): number {
  const full = Math.max(0.5, size / 2)
  return usesPressure ? Math.max(0.5, full * Math.min(1, 0.15 + 0.85 * pressure)) : full
}

/** The next size of the brush, larger or smaller: small ones change by a pixel, large ones by a seventh. */
export function nextSize(size: number, isLarger: boolean, largest: number): number {
  const step = Math.max(1, Math.round(size / 7))
  return Math.min(largest, Math.max(1, isLarger ? size + step : size - step))
}
