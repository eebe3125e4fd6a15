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
  const value = erases ? 0 : 255
  for (let y = bounds.y0; y < bounds.y1; y++) {
    const py = y + 0.5 - from.y
    const row = y * width
    const [x0, x1] = innerSpan(from, to, y + 0.5, bounds)
    if (x0 < x1) bits.fill(value, row + x0, row + x1)
    for (let x = bounds.x0; x < bounds.x1; x++) {
      if (x === x0 && x0 < x1) {
        x = x1 - 1
        continue
      }
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

/**
 * What of a row surely lies inside of a piece: between the chords of the two circles at its ends, since it is convex.
 * That is nearly all of a wide brush, and is set at once instead of pixel by pixel.
 */
function innerSpan(from: Dab, to: Dab, y: number, bounds: Rect): [number, number] {
  const chord = (dab: Dab): number => {
    const inner = dab.radius - 0.5
    const square = inner * inner - (y - dab.y) ** 2
    return inner > 0 && square > 0 ? Math.sqrt(square) : -1
  }
  const a = chord(from)
  const b = chord(to)
  if (a < 0 && b < 0) return [0, 0]
  const left = Math.min(a < 0 ? Infinity : from.x - a, b < 0 ? Infinity : to.x - b)
  const right = Math.max(a < 0 ? -Infinity : from.x + a, b < 0 ? -Infinity : to.x + b)
  return [Math.max(bounds.x0, Math.ceil(left - 0.5)), Math.min(bounds.x1, Math.floor(right - 0.5) + 1)]
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
