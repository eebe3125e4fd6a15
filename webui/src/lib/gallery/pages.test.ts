import { describe, expect, it } from 'vitest'
import { countNew, PageCache } from './pages'

const item = (id: number): { id: number; starred: boolean } => ({ id, starred: false })
const page = (from: number, count = 10): { id: number; starred: boolean }[] =>
  Array.from({ length: count }, (_, at) => item(from + at))

describe('PageCache', () => {
  it('knows what is missing of a part', () => {
    const cache = new PageCache<ReturnType<typeof item>>(10)
    expect(cache.missing({ first: 5, end: 31 })).toEqual([0, 1, 2, 3])
    cache.put(1, page(10))
    expect(cache.missing({ first: 5, end: 31 })).toEqual([0, 2, 3])
    expect(cache.missing({ first: 5, end: 5 })).toEqual([0])
    expect(cache.at(12)?.id).toBe(12)
    expect(cache.at(2)).toBeUndefined()
    expect(cache.indexOf(19)).toBe(19)
    expect(cache.indexOf(99)).toBeNull()
    expect(cache.find(19)?.id).toBe(19)
    expect(cache.find(99)).toBeUndefined()
  })
  it('finds a row by each picture that it stands for, and shows one of them', () => {
    const cache = new PageCache<{ id: number; group?: { id: string; count: number; ids: number[] } }>(10)
    cache.put(1, [{ id: 5 }, { id: 9, group: { id: 'job:a', count: 2, ids: [9, 8] } }])
    expect([5, 9, 8, 7].map((id) => cache.indexOf(id))).toEqual([10, 11, 11, null])
    expect([5, 9, 8, 7].map((id) => cache.find(id)?.id)).toEqual([5, 9, undefined, undefined])
  })
  it('forgets what was not used for longest', () => {
    const cache = new PageCache<ReturnType<typeof item>>(10)
    for (let at = 0; at < 60; at++) cache.put(at, page(at * 10))
    cache.touch({ first: 0, end: 5 })
    cache.put(60, page(600))
    expect(cache.held).toBe(60)
    expect(cache.at(0)?.id).toBe(0)
    expect(cache.at(10)).toBeUndefined()
    cache.clear()
    expect(cache.held).toBe(0)
  })
  it('changes pictures and brings them back', () => {
    const cache = new PageCache<ReturnType<typeof item>>(10)
    cache.put(0, page(0))
    const back = cache.change(new Set([3]), (one) => ({ ...one, starred: true }))
    expect(cache.at(3)?.starred).toBe(true)
    expect(cache.at(4)?.starred).toBe(false)
    back()
    expect(cache.at(3)?.starred).toBe(false)
    cache.change(null, (one) => ({ ...one, starred: true }))
    expect(cache.at(9)?.starred).toBe(true)
  })
})

it('countNew finds the one that was the first', () => {
  expect(countNew(page(5), 7)).toBe(2)
  expect(countNew(page(5), 99)).toBeNull()
  expect(countNew(page(5), undefined)).toBeNull()
})
