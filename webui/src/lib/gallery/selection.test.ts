import { describe, expect, it } from 'vitest'
import { chooseAll, countChosen, cutParts, has, hasAll, NOTHING, put, range } from './selection'

describe('a selection', () => {
  it('of some grows and shrinks', () => {
    const one = put(NOTHING, [5])
    expect(has(one, 5)).toBe(true)
    expect(has(NOTHING, 5)).toBe(false)
    expect(hasAll(put(one, [6]), [5, 6])).toBe(true)
    expect(hasAll(one, [5, 6])).toBe(false)
    expect(countChosen(put(one, [6, 7]), 100)).toBe(3)
    expect(countChosen(put(one, [5], false), 100)).toBe(0)
    expect(countChosen(put(one, [5], false), 200)).toBe(0)
  })
  it('of all has exceptions', () => {
    const all = chooseAll('2026-01-01T00:00:00Z')
    expect(all).toMatchObject({ before: '2026-01-01T00:00:01.000Z' })
    expect(countChosen(all, 10_000)).toBe(10_000)
    const without = put(all, [5], false)
    expect(has(without, 5)).toBe(false)
    expect(has(without, 6)).toBe(true)
    expect(without).toHaveProperty('before')
    expect(countChosen(without, 10_000)).toBe(9_999)
    expect(countChosen(put(without, [5]), 10_000)).toBe(10_000)
    expect(countChosen(put(without, [7, 8], false), 10_000)).toBe(9_997)
    expect(chooseAll(undefined)).not.toHaveProperty('before')
  })
})

it('range goes both ways', () => {
  expect(range(3, 7)).toEqual({ first: 3, end: 8 })
  expect(range(7, 3)).toEqual({ first: 3, end: 8 })
})

it('cutParts leaves nothing out', () => {
  expect(cutParts([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]])
  expect(cutParts([], 2)).toEqual([])
})
