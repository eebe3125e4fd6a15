import { describe, expect, it } from 'vitest'
import { fillRect, makeMask, wholeOf } from './bitmap'
import { MaskHistory, packTile, TILE, unpackTile } from './history'

describe('undo by squares', () => {
  it('takes back and does again 60 steps, exactly', () => {
    const mask = makeMask(700, 520)
    const history = new MaskHistory(mask)
    const states = [mask.bits.slice()]
    for (let step = 0; step < 60; step++) {
      const rect = { x0: step * 9, y0: step * 7, x1: step * 9 + 120, y1: step * 7 + 40 }
      history.touch(rect)
      fillRect(mask, rect, step % 5 === 4 ? 0 : 255 - step)
      expect(history.commit()).toBe(true)
      states.push(mask.bits.slice())
    }
    for (let step = 59; step >= 0; step--) {
      expect(history.undo()?.rect).not.toBeNull()
      expect(Buffer.compare(mask.bits, states[step]!)).toBe(0)
    }
    expect(history.undo()).toBeNull()
    for (let step = 1; step <= 60; step++) {
      history.redo()
      expect(Buffer.compare(mask.bits, states[step]!)).toBe(0)
    }
    expect(history.redo()).toBeNull()
  })

  it('keeps only the squares that changed', () => {
    const mask = makeMask(1024, 1024)
    const history = new MaskHistory(mask)
    history.touch(wholeOf(mask))
    fillRect(mask, { x0: 300, y0: 300, x1: 310, y1: 310 }, 255)
    history.commit()
    expect(history.undo()?.rect).toEqual({ x0: TILE, y0: TILE, x1: 2 * TILE, y1: 2 * TILE })
  })

  it('makes no step of nothing, and forgets what was taken back once something new is done', () => {
    const mask = makeMask(300, 300)
    const history = new MaskHistory(mask)
    history.touch({ x0: 0, y0: 0, x1: 10, y1: 10 })
    history.touch({ x0: -20, y0: 0, x1: -10, y1: 10 })
    history.touch(null)
    expect(history.commit()).toBe(false)
    for (const value of [10, 20]) {
      history.touch({ x0: 0, y0: 0, x1: 10, y1: 10 })
      fillRect(mask, { x0: 0, y0: 0, x1: 10, y1: 10 }, value)
      history.commit()
    }
    history.undo()
    expect([history.undoSteps, history.redoSteps]).toEqual([1, 1])
    history.touch({ x0: 20, y0: 20, x1: 30, y1: 30 })
    fillRect(mask, { x0: 20, y0: 20, x1: 30, y1: 30 }, 255)
    history.commit()
    expect(history.redoSteps).toBe(0)
  })

  it('gives up a stroke that has begun', () => {
    const mask = makeMask(300, 300)
    const history = new MaskHistory(mask)
    history.touch({ x0: 250, y0: 0, x1: 270, y1: 10 })
    fillRect(mask, { x0: 250, y0: 0, x1: 270, y1: 10 }, 255)
    expect(history.rollback()).toEqual({ x0: 0, y0: 0, x1: 300, y1: 256 })
    expect(mask.bits.every((one) => one === 0)).toBe(true)
    expect(history.rollback()).toBeNull()
    expect(history.undoSteps).toBe(0)
  })

  it('hands notes back, also of a step that changes no pixel', () => {
    const history = new MaskHistory<number>(makeMask(10, 10))
    history.commit({ before: 0, after: 64 })
    expect(history.undo()).toEqual({ rect: null, note: 0 })
    expect(history.redo()).toEqual({ rect: null, note: 64 })
  })

  it('keeps the newest 200 steps', () => {
    const mask = makeMask(10, 10)
    const history = new MaskHistory(mask)
    for (let step = 1; step <= 230; step++) {
      history.touch(wholeOf(mask))
      mask.bits.fill(step)
      history.commit()
    }
    expect(history.undoSteps).toBe(200)
  })

  it('packs squares and unpacks them to the same', () => {
    const flat = new Uint8Array(1000).fill(7)
    const lines = new Uint8Array(1000).fill(255, 300, 700)
    const noise = Uint8Array.from({ length: 1000 }, (_, at) => (at * 7919) & 255)
    expect(packTile(flat)).toBe(7)
    expect(packTile(lines)).toHaveProperty('runs')
    expect(packTile(noise)).toHaveProperty('raw')
    for (const bytes of [flat, lines, noise]) expect(unpackTile(packTile(bytes), 1000)).toEqual(bytes)
  })
})
