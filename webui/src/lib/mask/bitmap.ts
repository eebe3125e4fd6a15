/** A mask: one byte for each pixel of its picture, 255 is drawn anew, 0 is kept. And rectangles of it. */

export interface Mask {
  readonly width: number
  readonly height: number
  readonly bits: Uint8Array
}

/** From `x0`, `y0` up to and without `x1`, `y1`; whole pixels. */
export interface Rect {
  x0: number
  y0: number
  x1: number
  y1: number
}

export function makeMask(width: number, height: number): Mask {
  return { width, height, bits: new Uint8Array(width * height) }
}

export function wholeOf(mask: Mask): Rect {
  return { x0: 0, y0: 0, x1: mask.width, y1: mask.height }
}

/** Cuts a rectangle to the mask and to whole pixels; null where nothing is left. */
export function cutRect(rect: Rect, mask: Pick<Mask, 'width' | 'height'>): Rect | null {
  const cut = {
    x0: Math.max(0, Math.floor(rect.x0)),
    y0: Math.max(0, Math.floor(rect.y0)),
    x1: Math.min(mask.width, Math.ceil(rect.x1)),
    y1: Math.min(mask.height, Math.ceil(rect.y1)),
  }
  return cut.x0 < cut.x1 && cut.y0 < cut.y1 ? cut : null
}

export function growRect(rect: Rect, by: number): Rect {
  return { x0: rect.x0 - by, y0: rect.y0 - by, x1: rect.x1 + by, y1: rect.y1 + by }
}

/** The smallest rectangle around both; either may be missing. */
export function joinRects(a: Rect | null, b: Rect | null): Rect | null {
  if (!a || !b) return a ?? b
  return {
    x0: Math.min(a.x0, b.x0),
    y0: Math.min(a.y0, b.y0),
    x1: Math.max(a.x1, b.x1),
    y1: Math.max(a.y1, b.y1),
  }
}

/** The smallest rectangle around all that is not 0; null for an empty mask. */
export function usedRect({ width, height, bits }: Mask): Rect | null {
  const rowUsed = (y: number): boolean => {
    for (let at = y * width, end = at + width; at < end; at++) if (bits[at]) return true
    return false
  }
  let y0 = 0
  while (y0 < height && !rowUsed(y0)) y0++
  if (y0 === height) return null
  let y1 = height
  while (!rowUsed(y1 - 1)) y1--
  let x0 = width
  let x1 = 0
  for (let y = y0; y < y1; y++) {
    const row = y * width
    for (let x = 0; x < x0; x++) if (bits[row + x]) x0 = x
    for (let x = width - 1; x >= x1; x--) if (bits[row + x]) x1 = x + 1
  }
  return { x0, y0, x1, y1 }
}

/** Whether nothing is masked at all; looks at four pixels at a time. */
export function isEmptyMask({ bits }: Mask): boolean {
  const fours = new Uint32Array(bits.buffer, bits.byteOffset, bits.length >> 2)
  for (let at = 0; at < fours.length; at++) if (fours[at]) return false
  for (let at = fours.length * 4; at < bits.length; at++) if (bits[at]) return false
  return true
}

/** Sets every pixel of a rectangle. */
export function fillRect(mask: Mask, rect: Rect, value: number): Rect | null {
  const cut = cutRect(rect, mask)
  if (cut) for (let y = cut.y0; y < cut.y1; y++) mask.bits.fill(value, y * mask.width + cut.x0, y * mask.width + cut.x1)
  return cut
}

export function invertMask(mask: Mask): void {
  const { bits } = mask
  for (let at = 0; at < bits.length; at++) bits[at] = 255 - bits[at]!
}
