/**
 * Tells what pointers mean over a picture: one finger draws (or moves it, where nothing is drawn), two move and zoom, a
 * short tap of two takes back. Once a pen was seen, a single touch draws no more: it is the palm. No DOM.
 */
import type { Point } from './zoom'

export interface Touch extends Point {
  id: number
  type: string
  /** As in a pointer event: 0 main, 1 middle, 2 right. */
  button: number
  buttons: number
  shift: boolean
  /** Milliseconds. */
  time: number
}

/** What a pointer tells, seen from the corner of its frame. */
export function readTouch(event: PointerEvent, box: { left: number; top: number }): Touch {
  return {
    id: event.pointerId,
    type: event.pointerType,
    x: event.clientX - box.left,
    y: event.clientY - box.top,
    button: event.button,
    buttons: event.buttons,
    shift: event.shiftKey,
    time: event.timeStamp,
  }
}

export interface Meaning {
  /** Whether a single pointer draws; else it moves the picture. */
  draws: () => boolean
  /** Whether the hand is held (Space): a drag moves the picture. */
  holds: () => boolean
  begin: (at: Touch, erases: boolean) => void
  draw: (at: Touch) => void
  end: () => void
  /** Gives up what was begun: it was no stroke. */
  cancel: () => void
  move: (dx: number, dy: number) => void
  pinch: (before: [Point, Point], after: [Point, Point]) => void
  /** Two fingers tapped. */
  tap: () => void
}

const TAP_MS = 350
const TAP_PIXELS = 12
/** The pen's other end, and a pen's or a mouse's right button. */
const ERASER_BUTTON = 5
const ERASER_BUTTONS = 32

export class Gestures {
  private readonly meaning: Meaning
  private readonly fingers = new Map<number, Point>()
  private drawing: number | null = null
  private moving: { id: number; last: Point } | null = null
  private tapSince: number | null = null
  private travelled = 0
  private penId: number | null = null
  /** Whether a pen was used here. */
  penSeen = false

  constructor(meaning: Meaning) {
    this.meaning = meaning
  }

  /** Whether `id` draws now; its coalesced events are wanted then. */
  isDrawing(id: number): boolean {
    return this.drawing === id
  }

  get isMoving(): boolean {
    return this.moving !== null || this.fingers.size > 1
  }

  down(at: Touch): void {
    if (at.type === 'pen') this.seePen(at.id)
    if (at.type === 'touch') this.touchDown(at)
    else if (this.drawing === null && this.moving === null) this.singleDown(at)
  }

  /** Notes a pen, also one that only hovers. */
  seePen(down: number | null = null): void {
    this.penSeen = true
    if (down === null) return
    this.penId = down
    // The palm came down just before the pen's tip did.
    if (this.drawing !== null && this.fingers.has(this.drawing)) this.giveUp()
    this.fingers.clear()
    this.tapSince = null
  }

  private singleDown(at: Touch): void {
    if (at.button === 1 || this.meaning.holds() || !this.meaning.draws()) {
      if (at.button !== 2) this.moving = { id: at.id, last: { x: at.x, y: at.y } }
      return
    }
    this.drawing = at.id
    this.meaning.begin(at, at.button === 2 || at.button === ERASER_BUTTON || (at.buttons & ERASER_BUTTONS) !== 0)
  }

  private touchDown(at: Touch): void {
    // A palm beside the pen that draws.
    if (this.penId !== null) return
    this.fingers.set(at.id, { x: at.x, y: at.y })
    if (this.fingers.size === 1) {
      this.travelled = 0
      this.tapSince = null
      if (!this.meaning.draws() || this.meaning.holds()) this.moving = { id: at.id, last: { x: at.x, y: at.y } }
      else if (!this.penSeen && this.drawing === null) {
        this.drawing = at.id
        this.meaning.begin(at, false)
      }
      return
    }
    if (this.drawing !== null && this.fingers.has(this.drawing)) this.giveUp()
    this.moving = null
    this.tapSince = this.fingers.size === 2 ? at.time : null
  }

  move(at: Touch): void {
    if (this.drawing === at.id) {
      if (this.fingers.has(at.id)) this.fingers.set(at.id, { x: at.x, y: at.y })
      this.meaning.draw(at)
      return
    }
    if (this.moving?.id === at.id) {
      const { last } = this.moving
      this.meaning.move(at.x - last.x, at.y - last.y)
      this.moving.last = { x: at.x, y: at.y }
      return
    }
    const before = this.fingers.get(at.id)
    if (!before) return
    const other = [...this.fingers].find(([id]) => id !== at.id)?.[1]
    this.fingers.set(at.id, { x: at.x, y: at.y })
    if (!other) return
    this.travelled += Math.hypot(at.x - before.x, at.y - before.y)
    if (this.travelled > TAP_PIXELS) this.tapSince = null
    // Until it is clear that it is no tap, the picture stays where it is.
    if (this.tapSince === null) this.meaning.pinch([before, other], [{ x: at.x, y: at.y }, other])
  }

  up(at: Pick<Touch, 'id' | 'time'>): void {
    if (this.penId === at.id) this.penId = null
    const tapped =
      this.fingers.has(at.id) && this.fingers.size === 2 && this.tapSince !== null && at.time - this.tapSince < TAP_MS
    this.fingers.delete(at.id)
    if (this.drawing === at.id) {
      this.drawing = null
      this.meaning.end()
    }
    if (this.moving?.id === at.id) this.moving = null
    if (tapped) {
      this.tapSince = null
      this.meaning.tap()
    }
  }

  /** The browser took the pointer away. */
  lose(at: Pick<Touch, 'id' | 'time'>): void {
    if (this.drawing === at.id) this.giveUp()
    this.tapSince = null
    this.up(at)
  }

  private giveUp(): void {
    this.drawing = null
    this.meaning.cancel()
  }
}
