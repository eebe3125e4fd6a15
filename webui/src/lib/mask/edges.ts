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
  const distance = measure(mask, area, width, height)
  const reach = pixels * STRAIGHT
  for (let y = 0; y < height; y++) {
    let at = (area.y0 + y) * mask.width + area.x0
    for (let x = 0; x < width; x++, at++) {
      const rest = reach - distance[y * width + x]!
      if (rest <= -STRAIGHT) continue
      const cover = rest >= 0 ? 255 : Math.round(((rest + STRAIGHT) / STRAIGHT) * 255)
      if (mask.bits[at]! < cover) mask.bits[at] = cover
    }
  }
  return area
}

/** How far each pixel of the area is from what is masked, by two walks over it. */
function measure(mask: Mask, area: Rect, width: number, height: number): Uint16Array {
  const distance = new Uint16Array(width * height).fill(FAR)
  for (let y = 0; y < height; y++) {
    const row = (area.y0 + y) * mask.width + area.x0
    for (let x = 0; x < width; x++) if (mask.bits[row + x]! >= 128) distance[y * width + x] = 0
  }
  const walk = (turn: 1 | -1): void => {
    const look = (at: number, x: number, y: number, dx: number, dy: number, cost: number): void => {
      const nx = x + dx
      const ny = y + dy
      if (nx < 0 || ny < 0 || nx >= width || ny >= height) return
      const through = distance[ny * width + nx]! + cost
      if (through < distance[at]!) distance[at] = through
    }
    for (let step = 0; step < width * height; step++) {
      const at = turn === 1 ? step : width * height - 1 - step
      if (distance[at] === 0) continue
      const y = Math.floor(at / width)
      const x = at - y * width
      look(at, x, y, -turn, 0, STRAIGHT)
      look(at, x, y, 0, -turn, STRAIGHT)
      look(at, x, y, -1, -turn, SLANTING)
      look(at, x, y, 1, -turn, SLANTING)
      look(at, x, y, -2, -turn, KNIGHT)
      look(at, x, y, 2, -turn, KNIGHT)
      look(at, x, y, -1, -2 * turn, KNIGHT)
      look(at, x, y, 1, -2 * turn, KNIGHT)
    }
  }
  walk(1)
  walk(-1)
  return distance
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
  const height = area.y1 - area.y0
  const line = new Uint8Array(Math.max(width, height))
  const start = area.y0 * mask.width + area.x0
  for (let pass = 0; pass < 3; pass++) {
    for (let y = 0; y < height; y++) averageLine(mask.bits, start + y * mask.width, 1, width, radius, line)
    for (let x = 0; x < width; x++) averageLine(mask.bits, start + x, mask.width, height, radius, line)
  }
  return area
}

/** Averages a line over `2 * radius + 1` values; beyond its ends the last value goes on. */
function averageLine(
  bits: Uint8Array,
  start: number,
  step: number,
  length: number,
  radius: number,
  line: Uint8Array,
): void {
  let isFlat = true
  for (let at = 0, from = start; at < length; at++, from += step) {
    line[at] = bits[from]!
    if (line[at] !== line[0]) isFlat = false
  }
  if (isFlat) return
  const window = 2 * radius + 1
  let sum = line[0]! * (radius + 1)
  for (let at = 1; at <= radius; at++) sum += line[Math.min(at, length - 1)]!
  for (let at = 0, to = start; at < length; at++, to += step) {
    bits[to] = Math.round(sum / window)
    sum += line[Math.min(at + radius + 1, length - 1)]! - line[Math.max(at - radius, 0)]!
  }
}
