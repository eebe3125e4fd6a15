/**
 * Makes colours for the new area of an extended picture out of the picture's edge: each new pixel is an average of the
 * edge beside it, over a stretch that is the longer the farther it is away. It begins as the edge is and ends blurred.
 */
import type { Size } from '../zoom'
import { paddedSize, type Padding } from './padding'

/** Sums of a line of RGB(A) pixels, from its beginning up to each of them. */
class EdgeLine {
  private readonly sums: Float64Array
  readonly length: number

  constructor(rgba: Uint8ClampedArray) {
    this.length = rgba.length / 4
    this.sums = new Float64Array((this.length + 1) * 3)
    for (let at = 0; at < this.length; at++)
      for (let channel = 0; channel < 3; channel++)
        this.sums[(at + 1) * 3 + channel] = this.sums[at * 3 + channel]! + rgba[at * 4 + channel]!
  }

  /** The average of one channel around `at`. */
  around(at: number, reach: number, channel: number): number {
    const from = Math.max(0, Math.min(this.length - 1, at - reach))
    const to = Math.min(this.length, Math.max(1, at + reach + 1))
    return (this.sums[to * 3 + channel]! - this.sums[from * 3 + channel]!) / (to - from)
  }
}

export interface Edges {
  left: Uint8ClampedArray
  top: Uint8ClampedArray
  right: Uint8ClampedArray
  bottom: Uint8ClampedArray
}

/** Makes the rows `y0` to `y1` of the extended picture; what lies over the picture itself stays transparent. */
export function extendRows(
  picture: Size,
  padding: Padding,
  edges: Edges,
  y0: number,
  y1: number,
): Uint8ClampedArray<ArrayBuffer> {
  const { width } = paddedSize(picture, padding)
  const lines = {
    left: new EdgeLine(edges.left),
    right: new EdgeLine(edges.right),
    top: new EdgeLine(edges.top),
    bottom: new EdgeLine(edges.bottom),
  }
  const rgba = new Uint8ClampedArray(width * (y1 - y0) * 4)
  for (let y = y0; y < y1; y++) {
    const py = y - padding.top
    const dy = py < 0 ? -py : py >= picture.height ? py - picture.height + 1 : 0
    const flat = py < 0 ? lines.top : lines.bottom
    for (let x = 0; x < width; x++) {
      const px = x - padding.left
      const dx = px < 0 ? -px : px >= picture.width ? px - picture.width + 1 : 0
      if (dx === 0 && dy === 0) continue
      const upright = px < 0 ? lines.left : lines.right
      const reach = (dx + dy) >> 1
      const share = dx / (dx + dy)
      const to = ((y - y0) * width + x) * 4
      for (let channel = 0; channel < 3; channel++)
        rgba[to + channel] =
          (dx > 0 ? share * upright.around(py, reach, channel) : 0) +
          (dy > 0 ? (1 - share) * flat.around(px, reach, channel) : 0)
      rgba[to + 3] = 255
    }
  }
  return rgba
}
