/** What draws in a frame in which a picture is zoomed. */
import type { Point } from '../lib/zoom'

/** Points are in the picture's pixels. */
export interface Pen {
  begin: (at: Point, how: { pressure: number; erases: boolean; line: boolean }) => void
  draw: (at: Point, pressure: number) => void
  end: () => void
  cancel: () => void
  undo: () => void
  hover?: (at: Point | null) => void
}
