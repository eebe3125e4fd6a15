import { describe, expect, it } from 'vitest'
import { countDays, groupByDay } from './days'
import { askWith, isFiltered, readFilters, whyEmpty, writeFilters } from './filters'
import { moveBy, moveTo, placeAt } from './order'

describe('days', () => {
  it('are those of whoever looks', () => {
    const now = new Date(2026, 0, 31, 12)
    const at = (...parts: [number, number, number, number]): { created_at: string } => ({
      created_at: new Date(...parts).toISOString(),
    })
    const days = groupByDay([at(2026, 0, 31, 0), at(2026, 0, 30, 23), at(2026, 0, 30, 1), at(2026, 0, 5, 9)], now)
    expect(days.map((day) => [day.date, day.ago, day.items.length])).toEqual([
      ['2026-01-31', 0, 1],
      ['2026-01-30', 1, 2],
      ['2026-01-05', 26, 1],
    ])
  })
})

it('counts in days what is longer than one', () => {
  expect(countDays(7 * 86_400 - 5)).toBe(7)
  expect(countDays(86_400)).toBeNull()
})

describe('moves', () => {
  const ids = ['a', 'b', 'c', 'd']
  it('name the job that comes after', () => {
    expect(moveTo(ids, 'c', 1)).toEqual({ before: 'b' })
    expect(moveTo(ids, 'a', 2)).toEqual({ before: 'd' })
    expect(moveTo(ids, 'c', 0)).toEqual({ to: 'first' })
    expect(moveTo(ids, 'a', 9)).toEqual({ to: 'last' })
  })
  it('are none where nothing changes', () => {
    expect(moveTo(ids, 'b', 1)).toBeNull()
    expect(moveTo(ids, 'x', 1)).toBeNull()
    expect(moveBy(ids, 'a', -1)).toBeNull()
    expect(moveBy(ids, 'd', 1)).toBeNull()
    expect(moveBy(ids, 'x', 1)).toBeNull()
    expect(moveBy(ids, 'b', 1)).toEqual({ before: 'd' })
  })
  it('go by where the pointer is', () => {
    expect(placeAt([10, 20, 30], 5)).toBe(0)
    expect(placeAt([10, 20, 30], 25)).toBe(2)
    expect(placeAt([10, 20, 30], 99)).toBe(3)
  })
})

describe('filters', () => {
  it('live in the address', () => {
    const query = { status: 'failed', kind: 'upscale', q: 'cat', model: 'm' }
    expect(writeFilters(readFilters(query))).toEqual(query)
    expect(readFilters({ status: 'odd', kind: 'odd' })).toEqual({ status: '', kind: '', text: '', model: '' })
    expect(isFiltered(readFilters({}))).toBe(false)
    expect(isFiltered(readFilters(query))).toBe(true)
  })
  it('are asked for in the words of the server', () => {
    expect(askWith(readFilters({}))).toEqual({ status: ['completed', 'failed', 'cancelled'] })
    expect(askWith(readFilters({ status: 'failed', kind: 'upscale', q: ' cat ', model: 'm' }))).toEqual({
      status: ['failed'],
      type: 'upscale',
      search: 'cat m',
    })
  })
})

it('an empty list says that no job was sent only where none runs or waits either', () => {
  const none = readFilters({})
  expect(whyEmpty(none, 0)).toBe('empty')
  expect(whyEmpty(none, 1)).toBe('noneEnded')
  expect(whyEmpty(readFilters({ q: 'cat' }), 0)).toBe('noMatch')
  expect(whyEmpty(readFilters({ q: 'cat' }), 2)).toBe('noMatch')
})
