/** Where a picture lies in its frame: how large it is drawn and how far its middle is from the frame's. */
export interface View {
  /** Of the picture's own pixels; null: it fits the frame. */
  scale: number | null
  x: number
  y: number
}

export interface Size {
  width: number
  height: number
}

export const FITTED: View = { scale: null, x: 0, y: 0 }
const LARGEST = 16

/** How large a picture is that fits its frame; a small one is not drawn larger than `most` times its size. */
export function fitScale(picture: Size, frame: Size, most = 4): number {
  if (!picture.width || !picture.height) return 1
  return Math.min(frame.width / picture.width, frame.height / picture.height, most)
}

export function scaleOf(view: View, picture: Size, frame: Size): number {
  return view.scale ?? fitScale(picture, frame)
}

/** Keeps the picture in sight: it cannot be pushed out further than its own edge. */
export function clampView(view: View, picture: Size, frame: Size): View {
  if (view.scale === null) return FITTED
  const limit = (side: number, room: number): number => Math.max(0, (side * view.scale! - room) / 2)
  const clamp = (value: number, most: number): number => Math.max(-most, Math.min(most, value)) || 0
  return {
    scale: view.scale,
    x: clamp(view.x, limit(picture.width, frame.width)),
    y: clamp(view.y, limit(picture.height, frame.height)),
  }
}

/** Zooms by `factor` so that what is at `at` (seen from the frame's middle) stays there. Smaller than fitting it does not become. */
export function zoomBy(view: View, factor: number, at: { x: number; y: number }, picture: Size, frame: Size): View {
  const before = scaleOf(view, picture, frame)
  const fit = fitScale(picture, frame)
  const scale = Math.min(Math.max(LARGEST, fit), before * factor)
  if (scale <= fit * 1.001) return FITTED
  const grown = scale / before
  return clampView({ scale, x: at.x - (at.x - view.x) * grown, y: at.y - (at.y - view.y) * grown }, picture, frame)
}

/** Between fitting the frame and one pixel for one. */
export function switchView(view: View, at: { x: number; y: number }, picture: Size, frame: Size): View {
  if (view.scale !== null) return FITTED
  const fit = fitScale(picture, frame)
  // A picture that is drawn in its own size already (or larger) is shown twice as large.
  const wanted = fit >= 1 ? fit * 2 : 1
  return zoomBy(view, wanted / fit, at, picture, frame)
}

export function panBy(view: View, x: number, y: number, picture: Size, frame: Size): View {
  return clampView({ ...view, x: view.x + x, y: view.y + y }, picture, frame)
}

/** What two fingers say: how far apart they are, and where their middle is. */
export function readPinch(points: readonly { x: number; y: number }[]): { apart: number; x: number; y: number } {
  const [a, b] = points as [{ x: number; y: number }, { x: number; y: number }]
  return { apart: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }
}
