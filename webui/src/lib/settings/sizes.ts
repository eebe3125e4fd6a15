/** Reckons with the sizes of pictures: ratios, steps of the family, and what a locked ratio makes of a new side. */

export interface OfferedSize {
  ratio: string
  width: number
  height: number
}

/** The ratios that have a button of their own, the best known first; the others stand with the numbers. */
const BUTTONS = ['1:1', '4:3', '3:4', '16:9', '9:16', '3:2', '2:3']

/** Splits the sizes of a family: those with a button, and the others. Two ratios that come to the same size are one. */
export function splitSizes(sizes: readonly OfferedSize[], most = 4): { buttons: OfferedSize[]; others: OfferedSize[] } {
  const known = new Set<string>()
  const different = sizes.filter((one) => {
    const key = `${one.width}x${one.height}`
    return !known.has(key) && known.add(key)
  })
  const buttons = BUTTONS.map((ratio) => different.find((one) => one.ratio === ratio))
    .filter((one) => one !== undefined)
    .slice(0, most)
  return { buttons, others: different.filter((one) => !buttons.includes(one)) }
}

/** Writes the ratio of two sides in small numbers: 1024 x 768 is 4:3. */
export function writeRatio(width: number, height: number): string {
  if (!(width > 0 && height > 0) || !Number.isInteger(width) || !Number.isInteger(height)) return ''
  let [a, b] = [width, height]
  while (b) [a, b] = [b, a % b]
  return `${width / a}:${height / a}`
}

/** The sides of a small picture of a ratio, in pixels of the screen. */
export function shapeOf(width: number, height: number, area = 250): { width: number; height: number } {
  const ratio = Math.max(0.4, Math.min(2.5, width / height))
  return { width: Math.round(Math.sqrt(area * ratio)), height: Math.round(Math.sqrt(area / ratio)) }
}

/** Brings a side to the family's step, within what the server takes. */
export function snapSide(value: number, step: number, least: number, most: number): number {
  const snapped = Math.round(value / step) * step
  const low = Math.ceil(least / step) * step
  const high = Math.floor(most / step) * step
  return Math.max(low, Math.min(high, snapped))
}

/** The other side, where the ratio of `before` is kept and one side is now `value`. */
export function followSide(
  side: 'width' | 'height',
  value: number,
  before: { width: number; height: number },
  step: number,
  least: number,
  most: number,
): number {
  const ratio = before.width / before.height
  return snapSide(side === 'width' ? value / ratio : value * ratio, step, least, most)
}

/** A size with the ratio of a picture and about as many pixels as the family likes. */
export function fitPicture(
  picture: { width: number; height: number },
  pixels: number,
  step: number,
  least: number,
  most: number,
): { width: number; height: number } {
  const scale = Math.sqrt(pixels / (picture.width * picture.height))
  return {
    width: snapSide(picture.width * scale, step, least, most),
    height: snapSide(picture.height * scale, step, least, most),
  }
}
