/** Moves and softens the edges of a mask: grow, shrink, feather. Each looks only at what it can change. */
import { cutRect, growRect, invertMask, usedRect, wholeOf, type Mask, type Rect } from './bitmap'

// Distances in fifths of a pixel: 5 straight, 7 slanting, 11 a knight's move; at most 2 % off a true circle.
const STRAIGHT = 5
const SLANTING = 7
const KNIGHT = 11
const FAR = 60_000

/** Takes `pixels` more all around what is masked. */
export function growMask(mask: Mask, pixels: number): Rect | null {
  const used = usedRect(mask)
  const area = used && cutRect(growRect(used, pixels + 1), mask)
  if (!area || pixels <= 0) return null
  const width = area.x1 - area.x0
  const height = area.y1 - area.y0
  const { distance, row } = measure(mask, area, width, height)
  const reach = pixels * STRAIGHT
  for (let y = 0; y < height; y++) {
    let at = (area.y0 + y) * mask.width + area.x0
    let from = (y + BORDER) * row + BORDER
    for (let x = 0; x < width; x++, at++, from++) {
      const rest = reach - distance[from]!
      if (rest <= -STRAIGHT) continue
      const cover = rest >= 0 ? 255 : Math.round(((rest + STRAIGHT) / STRAIGHT) * 255)
      if (mask.bits[at]! < cover) mask.bits[at] = cover
    }
  }
  return area
}

// A knight's move reaches two pixels: with so many around, no walk has to look whether it leaves the area.
const BORDER = 2

/** How far each pixel of the area is from what is masked, by a walk over it there and one back. */
function measure(mask: Mask, area: Rect, width: number, height: number): { distance: Uint16Array; row: number } {
  const row = width + 2 * BORDER
  const distance = new Uint16Array(row * (height + 2 * BORDER)).fill(FAR)
  for (let y = 0; y < height; y++) {
    let at = (area.y0 + y) * mask.width + area.x0
    let to = (y + BORDER) * row + BORDER
    for (let x = 0; x < width; x++)
      if (mask.bits[at++]! >= 128) distance[to++] = 0
      else to++
  }
  const walk = (turn: 1 | -1): void => {
    const up = -row * turn
    for (let line = 0; line < height; line++) {
      const y = turn === 1 ? line : height - 1 - line
      let at = (y + BORDER) * row + BORDER + (turn === 1 ? 0 : width - 1)
      for (let x = 0; x < width; x++, at += turn) {
        let best = distance[at]!
        if (best === 0) continue
        best = Math.min(best, distance[at - turn]! + STRAIGHT, distance[at + up]! + STRAIGHT)
        best = Math.min(best, distance[at + up - 1]! + SLANTING, distance[at + up + 1]! + SLANTING)
        best = Math.min(best, distance[at + up - 2]! + KNIGHT, distance[at + up + 2]! + KNIGHT)
        best = Math.min(best, distance[at + up + up - 1]! + KNIGHT, distance[at + up + up + 1]! + KNIGHT)
        distance[at] = best
      }
    }
  }
  walk(1)
  walk(-1)
  return { distance, row }
}

/** Takes `pixels` away all around what is masked. The picture's own edge is none. */
export function shrinkMask(mask: Mask, pixels: number): Rect | null {
  if (pixels <= 0 || !usedRect(mask)) return null
  invertMask(mask)
  growMask(mask, pixels)
  invertMask(mask)
  return wholeOf(mask)
}

/** Softens the edges over about `pixels` to each side: three passes of an average, which come close to a bell curve. */
export function featherMask(mask: Mask, pixels: number): Rect | null {
  const used = usedRect(mask)
  const radius = Math.max(1, Math.round(pixels / 2))
  const area = used && cutRect(growRect(used, 3 * radius + 1), mask)
  if (!area || pixels <= 0) return null
  const width = area.x1 - area.x0
  const line = new Uint8Array(width)
  for (let pass = 0; pass < 3; pass++) {
    for (let y = area.y0; y < area.y1; y++) averageRow(mask.bits, y * mask.width + area.x0, width, radius, line)
    averageColumns(mask, area, radius)
  }
  return area
}

/** Averages a row over `2 * radius + 1` values; beyond its ends the last value goes on. */
function averageRow(bits: Uint8Array, start: number, length: number, radius: number, line: Uint8Array): void {
  line.set(bits.subarray(start, start + length))
  if (line.every((one) => one === line[0])) return
  const share = 1 / (2 * radius + 1)
  let sum = line[0]! * (radius + 1)
  for (let at = 1; at <= radius; at++) sum += line[Math.min(at, length - 1)]!
  for (let at = 0; at < length; at++) {
    bits[start + at] = (sum * share + 0.5) | 0
    sum += line[Math.min(at + radius + 1, length - 1)]! - line[Math.max(at - radius, 0)]!
  }
}

/** The same for all columns, row by row, as they lie in memory. */
function averageColumns(mask: Mask, area: Rect, radius: number): void {
  const width = area.x1 - area.x0
  const height = area.y1 - area.y0
  const before = new Uint8Array(width * height)
  const rowOf = (y: number): number => (area.y0 + y) * mask.width + area.x0
  for (let y = 0; y < height; y++) before.set(mask.bits.subarray(rowOf(y), rowOf(y) + width), y * width)
  const share = 1 / (2 * radius + 1)
  const sums = new Int32Array(width)
  for (let y = -radius; y <= radius; y++) {
    const from = Math.max(0, Math.min(height - 1, y)) * width
    for (let x = 0; x < width; x++) sums[x]! += before[from + x]!
  }
  for (let y = 0; y < height; y++) {
    const to = rowOf(y)
    const added = Math.min(y + radius + 1, height - 1) * width
    const taken = Math.max(y - radius, 0) * width
    for (let x = 0; x < width; x++) {
      mask.bits[to + x] = (sums[x]! * share + 0.5) | 0
      sums[x]! += before[added + x]! - before[taken + x]!
    }
  }
}
