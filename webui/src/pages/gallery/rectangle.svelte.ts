/** Draws a rectangle with the mouse over the list and tells which pictures it touches. */
import { indexesIn, type Box, type GridShape } from '../../lib/gallery/window'

const BEGINS_AFTER = 6
const EDGE = 40

export interface RectangleHost {
  scroller: () => HTMLElement
  list: () => HTMLElement
  shape: () => GridShape
  total: () => number
  /** The rectangle has begun; `adds`: what was chosen stays chosen. */
  onbegin: (adds: boolean) => void
  onchange: (indexes: number[]) => void
  onend: (indexes: number[]) => void
}

export class Rectangle {
  /** In pixels of the list; null: none is drawn. */
  box = $state.raw<Box | null>(null)
  private from: { x: number; y: number; adds: boolean } | null = null
  private pointer = { x: 0, y: 0 }
  private frame = 0
  private readonly host: RectangleHost

  constructor(host: RectangleHost) {
    this.host = host
  }

  private place(): { x: number; y: number } {
    const at = this.host.list().getBoundingClientRect()
    return { x: this.pointer.x - at.left, y: this.pointer.y - at.top }
  }

  down(event: PointerEvent): void {
    const scroller = this.host.scroller()
    const isOnBar = event.clientX - scroller.getBoundingClientRect().left >= scroller.clientWidth
    if (event.pointerType !== 'mouse' || event.button !== 0 || isOnBar || event.target instanceof HTMLInputElement)
      return
    this.pointer = { x: event.clientX, y: event.clientY }
    this.from = { ...this.place(), adds: event.shiftKey || event.ctrlKey || event.metaKey }
  }

  move(event: PointerEvent): void {
    if (!this.from) return
    this.pointer = { x: event.clientX, y: event.clientY }
    if (!this.box) {
      const at = this.place()
      if (Math.hypot(at.x - this.from.x, at.y - this.from.y) < BEGINS_AFTER) return
      this.host.scroller().setPointerCapture(event.pointerId)
      this.host.onbegin(this.from.adds)
      this.frame = requestAnimationFrame(() => this.scrollAtEdge())
    }
    this.draw()
  }

  private draw(): void {
    const at = this.place()
    const from = this.from!
    this.box = {
      left: Math.min(from.x, at.x),
      top: Math.min(from.y, at.y),
      right: Math.max(from.x, at.x),
      bottom: Math.max(from.y, at.y),
    }
    this.host.onchange(this.touched())
  }

  private touched(): number[] {
    return this.box ? indexesIn(this.box, this.host.total(), this.host.shape()) : []
  }

  /** Scrolls on while the pointer is at the edge. */
  private scrollAtEdge(): void {
    if (!this.box) return
    const scroller = this.host.scroller()
    const { top, bottom } = scroller.getBoundingClientRect()
    const above = top + EDGE - this.pointer.y
    const below = this.pointer.y - (bottom - EDGE)
    const step = above > 0 ? -above : below > 0 ? below : 0
    if (step) {
      scroller.scrollTop += step / 2
      this.draw()
    }
    this.frame = requestAnimationFrame(() => this.scrollAtEdge())
  }

  /** Ends it. The click that the browser makes of it then is none. */
  up(): void {
    cancelAnimationFrame(this.frame)
    this.from = null
    if (!this.box) return
    const indexes = this.touched()
    this.box = null
    const swallow = (event: MouseEvent): void => {
      event.stopPropagation()
      event.preventDefault()
    }
    addEventListener('click', swallow, { capture: true, once: true })
    setTimeout(() => removeEventListener('click', swallow, { capture: true }))
    this.host.onend(indexes)
  }

  cancel(): void {
    cancelAnimationFrame(this.frame)
    this.from = null
    this.box = null
  }
}
