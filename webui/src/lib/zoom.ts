/** The maths of looking at a picture through a frame: fit, zoom to a point, move, pinch. No DOM. */

export interface Point {
  x: number
  y: number
}

export interface Size {
  width: number
  height: number
}

/** A part of the plane, in the picture's own pixels; it may reach beyond the picture. */
export interface Area extends Point, Size {}

/** A point of the picture lies at `point * scale + (x, y)` in the frame. */
export interface View extends Point {
  scale: number
}

export const LARGEST_SCALE = 40
/** One press of a zoom key. */
export const ZOOM_STEP = 1.25

/** Shows all of `area` in the middle of the frame, with `margin` pixels around it; `most`: larger it is not shown. */
export function fitView(area: Area, frame: Size, margin = 0, most = LARGEST_SCALE): View {
  const width = Math.max(1, frame.width - 2 * margin)
  const height = Math.max(1, frame.height - 2 * margin)
  const scale = Math.min(width / area.width, height / area.height, most)
  return centre(area, frame, scale)
}

/** Shows `area` in the middle of the frame at a scale. */
export function centre(area: Area, frame: Size, scale: number): View {
  return {
    scale,
    x: (frame.width - area.width * scale) / 2 - area.x * scale,
    y: (frame.height - area.height * scale) / 2 - area.y * scale,
  }
}

/** How far one may go out: a little beyond all of the area, and never closer than the picture's own pixels. */
export function smallestScale(area: Area, frame: Size): number {
  return Math.min(1, fitView(area, frame).scale * 0.5)
}

/** Zooms by `factor` so that what lies under `point` of the frame stays there. */
export function zoomAt(view: View, point: Point, factor: number, least = 0.01): View {
  const scale = Math.min(LARGEST_SCALE, Math.max(least, view.scale * factor))
  const real = scale / view.scale
  return { scale, x: point.x - (point.x - view.x) * real, y: point.y - (point.y - view.y) * real }
}

/** Moves and zooms as two fingers did: what lay under each of them stays under it. */
export function pinch(view: View, before: [Point, Point], after: [Point, Point], least = 0.01): View {
  const length = (pair: [Point, Point]): number => Math.hypot(pair[0].x - pair[1].x, pair[0].y - pair[1].y)
  const middle = (pair: [Point, Point]): Point => ({ x: (pair[0].x + pair[1].x) / 2, y: (pair[0].y + pair[1].y) / 2 })
  const from = middle(before)
  const to = middle(after)
  const zoomed = zoomAt(view, from, length(after) / Math.max(1, length(before)), least)
  return { ...zoomed, x: zoomed.x + to.x - from.x, y: zoomed.y + to.y - from.y }
}

/**
 * Keeps the picture where it can be found: one that is smaller than the frame stays inside of it, a larger one covers
 * the frame, both but for `slack` pixels, so that one can draw at the picture's edge.
 */
export function clampView(view: View, area: Area, frame: Size, slack = 0): View {
  const axis = (at: number, start: number, length: number, room: number): number => {
    const near = 0 - start * view.scale
    const far = room - (start + length) * view.scale
    return Math.min(Math.max(at, Math.min(near, far) - slack), Math.max(near, far) + slack)
  }
  return {
    scale: view.scale,
    x: axis(view.x, area.x, area.width, frame.width),
    y: axis(view.y, area.y, area.height, frame.height),
  }
}

/** Whether a part of `area` is out of sight, so that there is somewhere to move to. */
export function isCut(view: View, area: Area, frame: Size): boolean {
  // What fits may be a fraction of a pixel larger by rounding.
  return area.width * view.scale > frame.width + 1 || area.height * view.scale > frame.height + 1
}

/** By how much a double click enlarges: to the picture's own size; one that is shown so large already, twice. */
export function enlargeFactor(scale: number): number {
  return scale < 1 ? 1 / scale : 2
}

/** Moves by as little as brings a point of the picture into the frame, `edge` pixels from its edges. */
export function reveal(view: View, at: Point, frame: Size, edge = 24): View {
  const { x, y } = toFrame(view, at)
  const into = (place: number, room: number): number => Math.max(0, edge - place) - Math.max(0, place - room + edge)
  return { ...view, x: view.x + into(x, frame.width), y: view.y + into(y, frame.height) }
}

export function toPicture(view: View, point: Point): Point {
  return { x: (point.x - view.x) / view.scale, y: (point.y - view.y) / view.scale }
}

export function toFrame(view: View, point: Point): Point {
  return { x: point.x * view.scale + view.x, y: point.y * view.scale + view.y }
}

/** How much a turn of the wheel zooms. Lines and pages are turned into pixels; a trackpad's pinch comes in small steps. */
export function wheelFactor(event: Pick<WheelEvent, 'deltaY' | 'deltaMode' | 'ctrlKey'>): number {
  const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1)
  return Math.exp(-Math.max(-240, Math.min(240, pixels)) * (event.ctrlKey ? 0.01 : 0.0018))
}

const ARROW_PIXELS = 60

/** How far an arrow key looks on, in pixels of the frame; null for any other key. */
export function arrowStep(key: string): Point | null {
  const far = ARROW_PIXELS
  const steps: Record<string, Point> = {
    ArrowLeft: { x: -far, y: 0 },
    ArrowRight: { x: far, y: 0 },
    ArrowUp: { x: 0, y: -far },
    ArrowDown: { x: 0, y: far },
  }
  return steps[key] ?? null
}
