import { expect, it } from 'vitest'
import { growRow, holds, isGroup, listIds } from './rows'

const one = { id: 5 }
const alone = { id: 6, group: { id: 'job:a', count: 1, ids: [6] } }
const several = { id: 9, group: { id: 'group:g', count: 3, ids: [9, 7, 2] } }

it('a row stands for its pictures', () => {
  expect([one, alone, several].map(isGroup)).toEqual([false, false, true])
  expect([one, alone, several].map(listIds)).toEqual([[5], [6], [9, 7, 2]])
  expect([5, 6, 2].map((id) => [one, alone, several].findIndex((row) => holds(row, id)))).toEqual([0, 1, 2])
  expect(holds(several, 8)).toBe(false)
})

it('a row grows by what came since, and shows the newest of it', () => {
  const newer = { id: 12, group: { id: 'group:g', count: 2, ids: [12, 11] } }
  expect(growRow(several, newer)).toEqual({ id: 12, group: { id: 'group:g', count: 5, ids: [12, 11, 9, 7, 2] } })
  expect(growRow(several, undefined)).toBe(several)
  expect(growRow(one, one)).toBe(one)
})
