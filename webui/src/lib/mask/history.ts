/**
 * Undo and redo of a mask, by squares of 256 pixels: a step keeps only the squares that it changed, packed. A step may
 * carry a note besides (how far the picture is extended), which is handed back when it is taken back.
 */
import { cutRect, joinRects, type Mask, type Rect } from './bitmap'

export const TILE = 256
const MOST_STEPS = 200
/** What all steps together may keep. The newest 50 are kept whatever they need. */
const MOST_BYTES = 192 * 1024 * 1024
const LEAST_STEPS = 50

type Packed = number | { runs: Uint8Array } | { raw: Uint8Array }

interface Step<Note> {
  tiles: Map<number, Packed>
  bytes: number
  note?: { before: Note; after: Note }
}

export interface Turned<Note> {
  /** What of the mask is another one now. */
  rect: Rect | null
  note?: Note
}

export class MaskHistory<Note = never> {
  private readonly mask: Mask
  private readonly columns: number
  private readonly done: Step<Note>[] = []
  private undone: Step<Note>[] = []
  /** Squares of the step that is being made, as they were before it. */
  private open = new Map<number, Uint8Array>()

  constructor(mask: Mask) {
    this.mask = mask
    this.columns = Math.ceil(mask.width / TILE)
  }

  get undoSteps(): number {
    return this.done.length
  }

  get redoSteps(): number {
    return this.undone.length
  }

  /** Keeps what lies in `rect`, which is about to be changed. */
  touch(rect: Rect | null): void {
    const cut = rect && cutRect(rect, this.mask)
    if (!cut) return
    for (let row = Math.floor(cut.y0 / TILE); row * TILE < cut.y1; row++)
      for (let column = Math.floor(cut.x0 / TILE); column * TILE < cut.x1; column++) {
        const tile = row * this.columns + column
        if (!this.open.has(tile)) this.open.set(tile, this.read(tile))
      }
  }

  /** Ends a step. Returns whether it changed anything. */
  commit(note?: { before: Note; after: Note }): boolean {
    const tiles = new Map<number, Packed>()
    let bytes = 0
    for (const [tile, before] of this.open) {
      if (this.isSame(tile, before)) continue
      const packed = packTile(before)
      bytes += sizeOf(packed)
      tiles.set(tile, packed)
    }
    this.open = new Map()
    if (tiles.size === 0 && !note) return false
    this.done.push({ tiles, bytes, note })
    this.undone = []
    this.forget()
    return true
  }

  /** Takes back the step that is being made, as if it had never begun. */
  rollback(): Rect | null {
    let rect: Rect | null = null
    for (const [tile, before] of this.open) {
      this.write(tile, before)
      rect = joinRects(rect, this.rectOf(tile))
    }
    this.open = new Map()
    return rect
  }

  undo(): Turned<Note> | null {
    const step = this.done.pop()
    if (!step) return null
    const rect = this.swap(step)
    this.undone.push(step)
    return { rect, note: step.note?.before }
  }

  redo(): Turned<Note> | null {
    const step = this.undone.pop()
    if (!step) return null
    const rect = this.swap(step)
    this.done.push(step)
    return { rect, note: step.note?.after }
  }

  private swap(step: Step<Note>): Rect | null {
    let rect: Rect | null = null
    step.bytes = 0
    for (const [tile, packed] of step.tiles) {
      const area = this.rectOf(tile)
      const now = packTile(this.read(tile))
      this.write(tile, unpackTile(packed, (area.x1 - area.x0) * (area.y1 - area.y0)))
      step.tiles.set(tile, now)
      step.bytes += sizeOf(now)
      rect = joinRects(rect, area)
    }
    return rect
  }

  private forget(): void {
    let bytes = this.done.reduce((sum, step) => sum + step.bytes, 0)
    while (this.done.length > MOST_STEPS || (bytes > MOST_BYTES && this.done.length > LEAST_STEPS))
      bytes -= this.done.shift()!.bytes
  }

  private rectOf(tile: number): Rect {
    const x0 = (tile % this.columns) * TILE
    const y0 = Math.floor(tile / this.columns) * TILE
    return { x0, y0, x1: Math.min(this.mask.width, x0 + TILE), y1: Math.min(this.mask.height, y0 + TILE) }
  }

  private read(tile: number): Uint8Array {
    const { x0, y0, x1, y1 } = this.rectOf(tile)
    const bytes = new Uint8Array((x1 - x0) * (y1 - y0))
    for (let y = y0; y < y1; y++) {
      const row = y * this.mask.width
      bytes.set(this.mask.bits.subarray(row + x0, row + x1), (y - y0) * (x1 - x0))
    }
    return bytes
  }

  private write(tile: number, bytes: Uint8Array): void {
    const { x0, y0, x1, y1 } = this.rectOf(tile)
    for (let y = y0; y < y1; y++)
      this.mask.bits.set(bytes.subarray((y - y0) * (x1 - x0), (y - y0 + 1) * (x1 - x0)), y * this.mask.width + x0)
  }

  private isSame(tile: number, before: Uint8Array): boolean {
    const now = this.read(tile)
    for (let at = 0; at < now.length; at++) if (now[at] !== before[at]) return false
    return true
  }
}

/** Packs a square: a number where it has one value, pairs of value and length where that is shorter. */
export function packTile(bytes: Uint8Array): Packed {
  const runs: number[] = []
  let at = 0
  while (at < bytes.length) {
    const value = bytes[at]!
    let end = at + 1
    while (end < bytes.length && bytes[end] === value) end++
    if (at === 0 && end === bytes.length) return value
    for (let rest = end - at; rest > 0; rest -= 255) runs.push(value, Math.min(255, rest))
    if (runs.length >= bytes.length) return { raw: bytes }
    at = end
  }
  return { runs: Uint8Array.from(runs) }
}

export function unpackTile(packed: Packed, length: number): Uint8Array {
  if (typeof packed === 'number') return new Uint8Array(length).fill(packed)
  if ('raw' in packed) return packed.raw
  const bytes = new Uint8Array(length)
  let to = 0
  for (let at = 0; at < packed.runs.length; at += 2) {
    bytes.fill(packed.runs[at]!, to, to + packed.runs[at + 1]!)
    to += packed.runs[at + 1]!
  }
  return bytes
}

function sizeOf(packed: Packed): number {
  return typeof packed === 'number' ? 8 : 'raw' in packed ? packed.raw.length : packed.runs.length
}
