/** Reads and makes pictures for the mask editor: the part that needs a browser. */
import { makeMask, type Mask } from '../lib/mask/bitmap'
import { extendRows } from '../lib/mask/extend'
import { paddedSize, type Padding } from '../lib/mask/padding'
import { readBrightness } from '../lib/mask/png'
import type { PictureSource } from '../lib/drafts/draft'
import { openSource } from '../lib/drafts/input_name'
import type { Size } from '../lib/zoom'

/** Rows that are handled at a time, so that a large picture is never there twice as pixels. */
const PORTION = 256

export interface Opened {
  image: HTMLImageElement
  url: string
  /** Frees what a file took; to be called once. */
  close: () => void
}

/** Opens a picture of a draft. */
export async function openPicture(source: PictureSource): Promise<Opened> {
  const { url, close } = openSource(source)
  const image = new Image()
  image.src = url
  try {
    await image.decode()
  } catch (thrown) {
    close()
    throw thrown
  }
  return { image, url, close }
}

function makeCanvas(width: number, height: number): CanvasRenderingContext2D {
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = height
  return canvas.getContext('2d', { willReadFrequently: true })!
}

/** Reads a picture as a mask of the given size. */
export async function readMask(source: PictureSource, { width, height }: Size): Promise<Mask> {
  const opened = await openPicture(source)
  try {
    const mask = makeMask(width, height)
    const { naturalHeight, naturalWidth } = opened.image
    const context = makeCanvas(width, Math.min(PORTION, height))
    for (let y = 0; y < height; y += PORTION) {
      const rows = Math.min(PORTION, height - y)
      context.clearRect(0, 0, width, PORTION)
      const scale = naturalHeight / height
      context.drawImage(opened.image, 0, y * scale, naturalWidth, rows * scale, 0, 0, width, rows)
      readBrightness(context.getImageData(0, 0, width, rows).data, mask.bits, y * width)
    }
    return mask
  } finally {
    opened.close()
  }
}

/** Draws a picture with the edge's colours all around it, as a PNG file. */
export async function extendPicture(image: HTMLImageElement, padding: Padding): Promise<Blob> {
  const picture = { width: image.naturalWidth, height: image.naturalHeight }
  const { width, height } = picture
  const whole = paddedSize(picture, padding)
  const line = (x: number, y: number, w: number, h: number): Uint8ClampedArray => {
    const context = makeCanvas(w, h)
    context.drawImage(image, x, y, w, h, 0, 0, w, h)
    return context.getImageData(0, 0, w, h).data
  }
  const edges = {
    left: line(0, 0, 1, height),
    right: line(width - 1, 0, 1, height),
    top: line(0, 0, width, 1),
    bottom: line(0, height - 1, width, 1),
  }
  const context = makeCanvas(whole.width, whole.height)
  for (let y = 0; y < whole.height; y += PORTION) {
    const end = Math.min(whole.height, y + PORTION)
    context.putImageData(new ImageData(extendRows(picture, padding, edges, y, end), whole.width), 0, y)
  }
  context.drawImage(image, padding.left, padding.top)
  return new Promise((resolve, reject) =>
    context.canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error('The picture is too large'))),
      'image/png',
    ),
  )
}
