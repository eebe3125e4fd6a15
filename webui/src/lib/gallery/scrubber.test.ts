import { describe, expect, it } from 'vitest'
import { dayAt, indexAtTrack, placeMarks, placeMonths } from './scrubber'

const months = [
  {
    month: '2026-11',
    count: 5,
    days: [
      { date: '2026-11-27', count: 2 },
      { date: '2026-11-01', count: 3 },
    ],
  },
  { month: '2026-10', count: 15, days: [{ date: '2026-10-05', count: 15 }] },
  { month: '2025-12', count: 80, days: [{ date: '2025-12-31', count: 80 }] },
]

it('placeMonths adds up', () => {
  expect(placeMonths(months).map((one) => one.index)).toEqual([0, 5, 20])
})

it('dayAt finds the day', () => {
  expect([0, 1, 2, 4, 5, 19, 20, 99, 500].map((at) => dayAt(months, at))).toEqual([
    '2026-11-27',
    '2026-11-27',
    '2026-11-01',
    '2026-11-01',
    '2026-10-05',
    '2026-10-05',
    '2025-12-31',
    '2025-12-31',
    '2025-12-31',
  ])
  expect(dayAt([], 3)).toBe('')
})

describe('placeMarks', () => {
  it('tells years once, and leaves out what has no room', () => {
    expect(placeMarks(placeMonths(months), 100, 500, 30)).toEqual([
      { month: '2026-11', index: 0, y: 0, isYear: true },
      { month: '2025-12', index: 20, y: 100, isYear: true },
    ])
    expect(placeMarks(placeMonths(months), 100, 500, 20).map((one) => one.isYear)).toEqual([true, false, true])
    expect(placeMarks(placeMonths(months), 0, 500, 20)).toHaveLength(1)
  })
})

it('indexAtTrack stays inside', () => {
  expect(indexAtTrack(250, 500, 100)).toBe(50)
  expect(indexAtTrack(-5, 500, 100)).toBe(0)
  expect(indexAtTrack(900, 500, 100)).toBe(99)
})
