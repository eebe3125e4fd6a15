/** How far a picture is extended at its four sides, in steps that the model's family draws well. */
import { makeMask, type Mask } from './bitmap'
import { featherMask } from './edges'
import type { Size } from '../zoom'

export interface Padding {
  left: number
  top: number
  right: number
  bottom: number
}
export type Side = keyof Padding
export const SIDES: readonly Side[] = ['left', 'top', 'right', 'bottom']
export const NO_PADDING: Padding = { left: 0, top: 0, right: 0, bottom: 0 }

export function isPadded(padding: Padding): boolean {
  return SIDES.some((side) => padding[side] > 0)
}

export function paddedSize(picture: Size, padding: Padding): Size {
  return {
    width: picture.width + padding.left + padding.right,
    height: picture.height + padding.top + padding.bottom,
  }
}

/**
 * Sets one side to about `wanted` pixels: the whole becomes a multiple of `step`, and no larger than `largest`. Where
 * the picture itself is no multiple, this side takes up the rest.
 */
export function setSide(picture: Size, padding: Padding, side: Side, wanted: number, step: number, largest: number) {
  const isWide = side === 'left' || side === 'right'
  const opposite = { left: 'right', right: 'left', top: 'bottom', bottom: 'top' }[side] as Side
  const length = isWide ? picture.width : picture.height
  const others = length + padding[opposite]
  if (!(wanted > 0)) return settle(picture, { ...padding, [side]: 0 }, isWide, opposite, step, largest)
  const most = Math.floor(largest / step) * step
  let whole = Math.round((others + wanted) / step) * step
  if (whole <= others) whole = Math.ceil(others / step) * step
  whole = Math.min(whole, most)
  return { ...padding, [side]: Math.max(0, whole - others) }
}

/** Where a side was taken away, the opposite one makes the whole a multiple again. */
function settle(picture: Size, padding: Padding, isWide: boolean, side: Side, step: number, largest: number): Padding {
  const length = isWide ? picture.width : picture.height
  if (padding[side] === 0) return padding
  const whole = Math.min(Math.round((length + padding[side]) / step) * step, Math.floor(largest / step) * step)
  return { ...padding, [side]: Math.max(0, whole - length) }
}

/** Makes both sides of an extended picture multiples of `step`, at the right and below, as far as `largest` lets it. */
export function roundPadding(picture: Size, padding: Padding, step: number, largest: number): Padding {
  if (!isPadded(padding)) return padding
  const { width, height } = paddedSize(picture, padding)
  const rest = (length: number): number => {
    const missing = (step - (length % step)) % step
    return length + missing <= largest ? missing : 0
  }
  return { ...padding, right: padding.right + rest(width), bottom: padding.bottom + rest(height) }
}

/**
 * Lays a mask into its extended picture. All that is new is white; the white reaches `overlap` pixels into the picture
 * and fades out there, so that no seam is seen.
 */
export function padMask(mask: Mask, padding: Padding, overlap: number): Mask {
  const size = paddedSize(mask, padding)
  const padded = makeMask(size.width, size.height)
  padded.bits.fill(255)
  const x0 = padding.left + (padding.left > 0 ? overlap : 0)
  const y0 = padding.top + (padding.top > 0 ? overlap : 0)
  const x1 = padding.left + mask.width - (padding.right > 0 ? overlap : 0)
  const y1 = padding.top + mask.height - (padding.bottom > 0 ? overlap : 0)
  for (let y = y0; y < y1; y++) if (x0 < x1) padded.bits.fill(0, y * size.width + x0, y * size.width + x1)
  featherMask(padded, overlap)
  for (let y = 0; y < size.height; y++) {
    const inside = y >= padding.top && y < padding.top + mask.height
    const row = y * size.width
    if (!inside) {
      padded.bits.fill(255, row, row + size.width)
      continue
    }
    padded.bits.fill(255, row, row + padding.left)
    padded.bits.fill(255, row + padding.left + mask.width, row + size.width)
    const from = (y - padding.top) * mask.width
    for (let x = 0; x < mask.width; x++) {
      const at = row + padding.left + x
      if (mask.bits[from + x]! > padded.bits[at]!) padded.bits[at] = mask.bits[from + x]!
    }
  }
  return padded
}

/** How far the new part reaches into the picture: a 32nd of its shorter side, between 4 and 64 pixels. */
export function overlapOf(picture: Size): number {
  return Math.max(4, Math.min(64, Math.round(Math.min(picture.width, picture.height) / 32)))
}
