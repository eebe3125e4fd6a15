/** Makes pixels to be seen of a mask: a colour, or a line around what is masked. */
import type { View } from '../zoom'
import { growRect, type Mask, type Rect } from './bitmap'

export type Display = 'red' | 'blue' | 'ants'
export const DISPLAYS: readonly Display[] = ['red', 'blue', 'ants']

const COLOURS = { red: [255, 40, 30], blue: [40, 110, 255] } as const

/** Writes a rectangle of the mask as a colour whose opacity is the mask, into RGBA pixels of the rectangle's size. */
export function paintColour(mask: Mask, rect: Rect, colour: keyof typeof COLOURS, rgba: Uint8ClampedArray): void {
  const [red, green, blue] = COLOURS[colour]
  const pixels = new Uint32Array(rgba.buffer, rgba.byteOffset, rgba.byteLength >> 2)
  // RGBA as it lies in memory, on the little-endian machines that browsers run on.
  const base = (blue << 16) | (green << 8) | red
  let to = 0
  for (let y = rect.y0; y < rect.y1; y++) {
    const row = y * mask.width
    for (let x = rect.x0; x < rect.x1; x++) pixels[to++] = base | (mask.bits[row + x]! << 24)
  }
}

/**
 * Draws the outline of a mask as it lies in a frame of `width` x `height` pixels: dashes in black and white that `phase`
 * moves on. Drawn at the frame's own pixels, it is one pixel wide at any zoom.
 */
export function traceOutline(
  mask: Mask,
  view: View,
  width: number,
  height: number,
  phase: number,
  rgba: Uint8ClampedArray,
): void {
  const pixels = new Uint32Array(rgba.buffer, rgba.byteOffset, rgba.byteLength >> 2)
  pixels.fill(0)
  const columns = new Int32Array(width + 1)
  for (let x = 0; x <= width; x++) {
    const at = Math.floor((x + 0.5 - view.x) / view.scale)
    columns[x] = at >= 0 && at < mask.width ? at : -1
  }
  const read = (row: number, x: number): boolean => row >= 0 && columns[x]! >= 0 && mask.bits[row + columns[x]!]! >= 128
  const rowAt = (y: number): number => {
    const at = Math.floor((y + 0.5 - view.y) / view.scale)
    return at >= 0 && at < mask.height ? at * mask.width : -1
  }
  let row = rowAt(0)
  for (let y = 0; y < height; y++) {
    const below = rowAt(y + 1)
    let isMasked = read(row, 0)
    for (let x = 0; x < width; x++) {
      const right = read(row, x + 1)
      if (isMasked !== right || isMasked !== read(below, x))
        pixels[y * width + x] = ((x + y + phase) & 7) < 4 ? 0xffffffff : 0xff000000
      isMasked = right
    }
    row = below
  }
}

/** Cuts a rectangle along the squares of the canvases that show it; each overlaps the next one by `overlap`. */
export function* splitByChunks(rect: Rect, chunk: number, overlap: number, mask: Mask): Generator<[number, Rect]> {
  const columns = Math.ceil(mask.width / chunk)
  const wide = growRect(rect, overlap)
  for (let row = Math.max(0, Math.floor(wide.y0 / chunk)); row * chunk < Math.min(wide.y1, mask.height); row++)
    for (
      let column = Math.max(0, Math.floor(wide.x0 / chunk));
      column * chunk < Math.min(wide.x1, mask.width);
      column++
    ) {
      const part = {
        x0: Math.max(rect.x0, column * chunk),
        y0: Math.max(rect.y0, row * chunk),
        x1: Math.min(rect.x1, (column + 1) * chunk + overlap, mask.width),
        y1: Math.min(rect.y1, (row + 1) * chunk + overlap, mask.height),
      }
      if (part.x0 < part.x1 && part.y0 < part.y1) yield [row * columns + column, part]
    }
}
