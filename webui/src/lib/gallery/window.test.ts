import { describe, expect, it } from 'vitest'
import {
  chooseThumb,
  GAP,
  indexesIn,
  MOST_HEIGHT,
  MOST_TILES,
  placeTile,
  placeWindow,
  scrolledTo,
  scrollFor,
  shapeGrid,
  walk,
} from './window'

const shape = { columns: 5, tile: 94, rowHeight: 100 }

describe('shapeGrid', () => {
  it('fills the width with tiles of at least the wanted size', () => {
    const made = shapeGrid(1000, 160)
    expect(made.columns).toBe(6)
    expect(made.tile).toBeGreaterThanOrEqual(160)
    expect(made.columns * made.tile + (made.columns - 1) * GAP).toBeCloseTo(1000)
  })
  it('has one column where not even one fits', () => expect(shapeGrid(80, 320)).toMatchObject({ columns: 1, tile: 80 }))
})

describe('placeWindow', () => {
  it('shows what is in view and a few rows around it', () => {
    expect(placeWindow(1000, shape, 1000, 400)).toMatchObject({ first: 35, end: 90, height: 20_000 - GAP, shift: 0 })
  })
  it('begins and ends where the list does', () => {
    expect(placeWindow(1000, shape, 0, 400)).toMatchObject({ first: 0, end: 40 })
    expect(placeWindow(998, shape, 19_600, 400).end).toBe(998)
    expect(placeWindow(0, shape, 0, 400)).toMatchObject({ first: 0, end: 0, height: 0 })
  })
  it('never holds more tiles than the limit, however large the window is', () => {
    const wide = { columns: 40, tile: 90, rowHeight: 96 }
    const made = placeWindow(100_000, wide, 5000, 3000)
    expect(made.end - made.first).toBeLessThanOrEqual(MOST_TILES)
    expect(made.first).toBe(Math.floor(5000 / 96) * 40)
  })
  it('stays inside after the list became shorter', () => {
    const made = placeWindow(20, shape, 90_000, 400)
    expect(made).toMatchObject({ first: 0, end: 20 })
  })
  it('lets the scrollbar stand for a list that is higher than elements may be', () => {
    const total = 1_000_000
    const last = placeWindow(total, shape, MOST_HEIGHT - 400, 400)
    expect(last.height).toBe(MOST_HEIGHT)
    expect(last.end).toBe(total)
    const row = placeTile(total - 1, shape)
    expect(row.y + last.shift).toBeCloseTo(MOST_HEIGHT - 100, 3)
    expect(scrolledTo(total, shape, 0, 400)).toBe(0)
  })
})

describe('scrollFor', () => {
  it('moves nothing where the picture is in view', () => expect(scrollFor(52, 1000, shape, 1000, 400)).toBe(1000))
  it('moves as little as possible to one close by', () => {
    expect(scrollFor(45, 1000, shape, 1000, 400)).toBe(900)
    expect(scrollFor(70, 1000, shape, 1000, 400)).toBe(1094)
  })
  it('puts one far away into the middle, and one that was jumped to at the top', () => {
    expect(scrollFor(500, 1000, shape, 0, 400)).toBe(9847)
    expect(scrollFor(500, 1000, shape, 0, 400, 'top')).toBe(10_000)
  })
  it('leads to where the window shows it in a very long list', () => {
    const at = scrollFor(700_000, 1_000_000, shape, 0, 400)
    const made = placeWindow(1_000_000, shape, at, 400)
    expect(made.first).toBeLessThanOrEqual(700_000)
    expect(made.end).toBeGreaterThan(700_000)
  })
})

describe('indexesIn', () => {
  it('finds what a rectangle touches', () => {
    expect(indexesIn({ left: 50, top: 50, right: 150, bottom: 150 }, 1000, shape)).toEqual([0, 1, 5, 6])
    expect(indexesIn({ left: 95, top: 95, right: 99, bottom: 99 }, 1000, shape)).toEqual([])
    expect(indexesIn({ left: 0, top: 0, right: 900, bottom: 900 }, 7, shape)).toEqual([0, 1, 2, 3, 4, 5, 6])
  })
})

describe('walk', () => {
  it('goes by tiles, rows and pages, and stays inside', () => {
    const go = (key: string, from: number): number | null => walk(key, from, 23, 5, 2)
    expect(go('ArrowRight', 22)).toBe(22)
    expect(go('ArrowLeft', 0)).toBe(0)
    expect(go('ArrowDown', 3)).toBe(8)
    expect(go('ArrowDown', 19)).toBe(22)
    expect(go('ArrowDown', 21)).toBe(21)
    expect(go('ArrowUp', 3)).toBe(3)
    expect(go('ArrowUp', 8)).toBe(3)
    expect(go('PageDown', 4)).toBe(14)
    expect(go('PageUp', 8)).toBe(3)
    expect(go('PageUp', 18)).toBe(8)
    expect(go('Home', 9)).toBe(0)
    expect(go('End', 9)).toBe(22)
    expect(go('x', 9)).toBeNull()
    expect(walk('End', 0, 0, 5, 2)).toBeNull()
  })
})

it('chooseThumb knows the screen', () => {
  expect(chooseThumb(160, 1)).toBe(256)
  expect(chooseThumb(160, 2)).toBe(512)
})
