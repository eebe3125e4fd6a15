/** One piece of work on a mask: its bitmap, what is chosen, and what pointers and keys make of both. */
import { fillRect, invertMask, isEmptyMask, joinRects, wholeOf, type Mask, type Rect } from '../lib/mask/bitmap'
import { featherMask, growMask, shrinkMask } from '../lib/mask/edges'
import { MaskHistory } from '../lib/mask/history'
import { isPadded, NO_PADDING, paddedSize, setSide, type Padding, type Side } from '../lib/mask/padding'
import type { Display } from '../lib/mask/paint'
import { boundsOfPoints, boundsOfRuns, fillPolygon, fillRuns, findArea } from '../lib/mask/shapes'
import { boundsOfPiece, drawPiece, nextSize, radiusAt, splitSegment, type Dab } from '../lib/mask/stroke'
import type { PictureSource } from '../lib/drafts/draft'
import type { Point } from '../lib/zoom'

export const TOOLS = ['brush', 'eraser', 'rectangle', 'lasso', 'fill', 'extend'] as const
export type Tool = (typeof TOOLS)[number]
export type EdgeChange = 'grow' | 'shrink' | 'feather'

export class MaskSession {
  readonly draftId: string
  readonly source: PictureSource
  readonly mask: Mask
  readonly largestSize: number

  tool = $state<Tool>('brush')
  size = $state(40)
  edge = $state(8)
  display = $state<Display>('red')
  usesPressure = $state(false)
  padding = $state<Padding>(NO_PADDING)
  /** Where the keys draw; null: they have not been used. */
  cursor = $state<Point | null>(null)
  /** The line of a lasso or the two corners of a rectangle, while it is drawn. */
  outline = $state.raw<Point[]>([])
  undoSteps = $state(0)
  redoSteps = $state(0)
  isEmpty = $state(true)
  /** Whether something was changed since the mask was taken from the draft. */
  isChanged = $state(false)
  readonly isPadded = $derived.by(() => isPadded(this.padding))
  readonly whole = $derived.by(() => paddedSize(this.mask, this.padding))

  private readonly history: MaskHistory<Padding>
  private listeners = new Set<(rect: Rect) => void>()
  private last: Dab | null = null
  private erases = false
  private paddingBefore: Padding = NO_PADDING

  constructor(draftId: string, source: PictureSource, mask: Mask) {
    this.draftId = draftId
    this.source = source
    this.mask = mask
    this.history = new MaskHistory<Padding>(mask)
    const shorter = Math.min(mask.width, mask.height)
    this.largestSize = Math.max(16, Math.min(1024, shorter))
    this.size = Math.max(4, Math.round(shorter / 10))
    this.isEmpty = isEmptyMask(mask)
  }

  /** Calls `listener` with each part of the mask that has become another one. Returns what ends that. */
  listen(listener: (rect: Rect) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  // --- strokes -----------------------------------------------------------------------------------------------------

  /** Begins a stroke or a shape. With `line`, a straight one comes from where the last stroke ended. */
  begin(at: Point, how: { pressure: number; erases: boolean; line: boolean }): void {
    this.erases = how.erases || this.tool === 'eraser'
    this.cursor = null
    if (this.tool === 'fill') return this.fill(at)
    if (this.tool === 'rectangle' || this.tool === 'lasso') {
      this.outline = [at]
      return
    }
    if (this.tool === 'extend') return
    const dab = { ...at, radius: radiusAt(this.size, how.pressure, this.usesPressure) }
    this.stroke(how.line && this.last ? { ...this.last, radius: dab.radius } : dab, dab)
  }

  draw(at: Point, pressure: number): void {
    if (this.tool === 'rectangle' && this.outline.length > 0) this.outline = [this.outline[0]!, at]
    else if (this.tool === 'lasso' && this.outline.length > 0) this.outline = [...this.outline, at]
    else if ((this.tool === 'brush' || this.tool === 'eraser') && this.last) {
      const dab = { ...at, radius: radiusAt(this.size, pressure, this.usesPressure) }
      this.stroke(this.last, dab)
    }
  }

  end(): void {
    if (this.outline.length > 0) this.closeOutline()
    else this.commit()
  }

  cancel(): void {
    this.outline = []
    const rect = this.history.rollback()
    if (rect) this.tell(rect)
  }

  private stroke(from: Dab, to: Dab): void {
    for (const [a, b] of splitSegment(from, to)) {
      const bounds = boundsOfPiece(this.mask, a, b)
      if (!bounds) continue
      this.history.touch(bounds)
      drawPiece(this.mask, a, b, this.erases)
      this.tell(bounds)
    }
    this.last = to
  }

  private closeOutline(): void {
    const points = this.outline
    const value = this.erases ? 0 : 255
    const bounds = boundsOfPoints(this.mask, points)
    this.outline = []
    this.history.touch(bounds)
    if (this.tool === 'lasso') fillPolygon(this.mask, points, value)
    else if (bounds && points.length === 2) fillRect(this.mask, bounds, value)
    if (bounds) this.tell(bounds)
    this.commit()
  }

  private fill(at: Point): void {
    const runs = findArea(this.mask, at)
    const bounds = boundsOfRuns(runs)
    this.history.touch(bounds)
    fillRuns(this.mask, runs, this.erases ? 0 : 255)
    if (bounds) this.tell(bounds)
    this.commit()
  }

  // --- by keys -----------------------------------------------------------------------------------------------------

  /** Moves the cursor of the keys; the first time it appears in the middle of what is given. */
  moveCursor(dx: number, dy: number, middle: Point): Point {
    const from = this.cursor ?? middle
    const clamp = (value: number, most: number): number => Math.max(0, Math.min(most, value))
    this.cursor = { x: clamp(from.x + dx, this.mask.width), y: clamp(from.y + dy, this.mask.height) }
    if (this.tool === 'rectangle' && this.outline.length > 0) this.outline = [this.outline[0]!, this.cursor]
    return this.cursor
  }

  /** Does at the cursor what a click does there: a shape takes a corner, and ends with the second one or where it began. */
  stamp(line = false): void {
    const at = this.cursor
    if (!at) return
    if (this.outline.length === 0) {
      this.begin(at, { pressure: 1, erases: false, line })
      if (this.outline.length === 0) this.end()
    } else if (this.tool === 'rectangle') {
      this.outline = [this.outline[0]!, at]
      this.closeOutline()
    } else {
      const start = this.outline[0]!
      const isClosed = this.outline.length > 2 && Math.hypot(start.x - at.x, start.y - at.y) < 1
      if (isClosed || line) this.closeOutline()
      else this.outline = [...this.outline, at]
    }
    this.cursor = at
  }

  // --- all of it ---------------------------------------------------------------------------------------------------

  undo(): void {
    this.turn(this.history.undo())
  }

  redo(): void {
    this.turn(this.history.redo())
  }

  clear(): void {
    this.changeAll(() => this.mask.bits.fill(0))
  }

  invert(): void {
    this.changeAll(() => invertMask(this.mask))
  }

  changeEdge(how: EdgeChange): void {
    const run = { grow: growMask, shrink: shrinkMask, feather: featherMask }[how]
    this.changeAll(() => run(this.mask, this.edge))
  }

  /** Replaces the mask by another one of the same size. */
  replace(bits: Uint8Array): void {
    this.changeAll(() => this.mask.bits.set(bits))
  }

  private changeAll(change: () => void): void {
    this.cancel()
    this.history.touch(wholeOf(this.mask))
    change()
    this.tell(wholeOf(this.mask))
    this.commit()
  }

  choose(tool: Tool): void {
    this.cancel()
    this.tool = tool
  }

  resize(isLarger: boolean): void {
    this.size = nextSize(this.size, isLarger, this.largestSize)
  }

  // --- more canvas -------------------------------------------------------------------------------------------------

  /** Sets how far a side is extended; a step of its own once `settlePadding` is called. */
  extend(side: Side, pixels: number, step: number, largest: number): void {
    this.padding = setSide(this.mask, this.padding, side, pixels, step, largest)
  }

  beginPadding(): void {
    this.paddingBefore = this.padding
  }

  settlePadding(): void {
    const before = this.paddingBefore
    const after = this.padding
    if (JSON.stringify(before) === JSON.stringify(after)) return
    this.history.commit({ before, after })
    this.paddingBefore = after
    this.note()
  }

  private turn(turned: ReturnType<MaskHistory<Padding>['undo']>): void {
    this.cancel()
    if (!turned) return
    if (turned.note) this.padding = this.paddingBefore = turned.note
    if (turned.rect) this.tell(turned.rect)
    this.note()
  }

  private commit(): void {
    if (this.history.commit()) this.note()
  }

  private note(): void {
    this.undoSteps = this.history.undoSteps
    this.redoSteps = this.history.redoSteps
    this.isEmpty = isEmptyMask(this.mask)
    this.isChanged = true
  }

  private tell(rect: Rect): void {
    for (const listener of this.listeners) listener(rect)
  }
}

/** Gathers what is to be painted until the next frame. */
export class DirtyRect {
  private rect: Rect | null = null
  add(rect: Rect): void {
    this.rect = joinRects(this.rect, rect)
  }
  take(): Rect | null {
    const { rect } = this
    this.rect = null
    return rect
  }
}
