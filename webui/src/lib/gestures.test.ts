import { beforeEach, describe, expect, it } from 'vitest'
import { Gestures, type Touch } from './gestures'

let log: string[]
let draws: boolean
let holds: boolean
let gestures: Gestures

function at(id: number, type: string, x: number, y: number, more: Partial<Touch> = {}): Touch {
  return { id, type, x, y, button: 0, buttons: 1, shift: false, time: 0, ...more }
}

beforeEach(() => {
  log = []
  draws = true
  holds = false
  gestures = new Gestures({
    draws: () => draws,
    holds: () => holds,
    begin: (one, erases) => log.push(`begin ${one.x}${erases ? ' erase' : ''}`),
    draw: (one) => log.push(`draw ${one.x}`),
    end: () => log.push('end'),
    cancel: () => log.push('cancel'),
    move: (dx, dy) => log.push(`move ${dx} ${dy}`),
    pinch: (before, after) => log.push(`pinch ${before[0].x} ${after[0].x}`),
    tap: () => log.push('tap'),
  })
})

describe('what pointers mean', () => {
  it('draws with one finger, as a line and not as dots', () => {
    gestures.down(at(1, 'touch', 5, 5))
    expect(gestures.isDrawing(1)).toBe(true)
    gestures.move(at(1, 'touch', 9, 5))
    gestures.up(at(1, 'touch', 9, 5))
    expect(log).toEqual(['begin 5', 'draw 9', 'end'])
  })

  it('moves with two fingers and gives up the stroke that the first one began', () => {
    gestures.down(at(1, 'touch', 0, 0))
    gestures.down(at(2, 'touch', 100, 0))
    gestures.move(at(1, 'touch', 6, 0))
    expect(gestures.isMoving).toBe(true)
    gestures.move(at(1, 'touch', 20, 0))
    gestures.up(at(2, 'touch', 100, 0))
    gestures.move(at(1, 'touch', 30, 0))
    gestures.up(at(1, 'touch', 30, 0))
    expect(log).toEqual(['begin 0', 'cancel', 'pinch 6 20'])
  })

  it('takes back with a tap of two fingers, quick and without a move', () => {
    gestures.down(at(1, 'touch', 0, 0))
    gestures.down(at(2, 'touch', 100, 0, { time: 40 }))
    gestures.up(at(1, 'touch', 0, 0, { time: 120 }))
    gestures.up(at(2, 'touch', 100, 0, { time: 130 }))
    expect(log).toEqual(['begin 0', 'cancel', 'tap'])
    log = []
    gestures.down(at(1, 'touch', 0, 0))
    gestures.down(at(2, 'touch', 100, 0, { time: 40 }))
    gestures.up(at(1, 'touch', 0, 0, { time: 900 }))
    expect(log).toEqual(['begin 0', 'cancel'])
  })

  it('does not take three fingers for a tap', () => {
    for (const id of [1, 2, 3]) gestures.down(at(id, 'touch', id, 0))
    for (const id of [1, 2, 3]) gestures.up(at(id, 'touch', id, 0))
    expect(log).toEqual(['begin 1', 'cancel'])
  })

  it('takes a touch for the palm once a pen was seen; two fingers still move', () => {
    gestures.down(at(7, 'pen', 50, 0))
    gestures.down(at(1, 'touch', 0, 0))
    gestures.move(at(7, 'pen', 60, 0))
    gestures.up(at(7, 'pen', 60, 0))
    gestures.up(at(1, 'touch', 0, 0))
    gestures.down(at(2, 'touch', 0, 0))
    gestures.move(at(2, 'touch', 40, 0))
    expect(log).toEqual(['begin 50', 'draw 60', 'end'])
    gestures.down(at(3, 'touch', 100, 0))
    gestures.move(at(2, 'touch', 80, 0))
    expect(log.at(-1)).toBe('pinch 40 80')
  })

  it('gives up what the palm began just before the pen came', () => {
    gestures.down(at(1, 'touch', 0, 0))
    gestures.down(at(7, 'pen', 50, 0))
    expect(log).toEqual(['begin 0', 'cancel', 'begin 50'])
  })

  it('erases by the right button and by the other end of the pen', () => {
    gestures.down(at(1, 'mouse', 1, 0, { button: 2, buttons: 2 }))
    gestures.up(at(1, 'mouse', 1, 0))
    gestures.down(at(2, 'pen', 2, 0, { button: 5, buttons: 32 }))
    expect(log).toEqual(['begin 1 erase', 'end', 'begin 2 erase'])
  })

  it('moves the picture with Space, the middle button, or where nothing is drawn', () => {
    gestures.down(at(1, 'mouse', 0, 0, { button: 1, buttons: 4 }))
    gestures.move(at(1, 'mouse', 3, 4))
    gestures.up(at(1, 'mouse', 3, 4))
    holds = true
    gestures.down(at(1, 'mouse', 0, 0))
    gestures.move(at(1, 'mouse', 1, 1))
    gestures.up(at(1, 'mouse', 1, 1))
    holds = false
    draws = false
    gestures.down(at(1, 'touch', 0, 0))
    gestures.move(at(1, 'touch', 2, 2))
    expect(log).toEqual(['move 3 4', 'move 1 1', 'move 2 2'])
  })

  it('gives up a stroke whose pointer was taken away', () => {
    gestures.down(at(1, 'touch', 0, 0))
    gestures.lose(at(1, 'touch', 0, 0))
    gestures.down(at(2, 'touch', 4, 0))
    gestures.up(at(2, 'touch', 4, 0))
    expect(log).toEqual(['begin 0', 'cancel', 'begin 4', 'end'])
  })
})
