import { describe, expect, it } from 'vitest'
import { readTime, sumTimes } from './times'

const told = {
  a: { each: 2, load: 0 },
  b: { each: 3, load: 10 },
  c: { each: 1, load: null },
  d: { each: null, load: null },
}

describe('the time of several models', () => {
  it('has each load once', () => {
    expect(sumTimes(['a', 'b'], 4, told)).toEqual({ seconds: 8 + 12 + 10, unknown: 0 })
    expect(sumTimes(['c'], 2, told)).toEqual({ seconds: 2, unknown: 0 })
  })
  it('counts models that were never timed, and those that nobody has asked about yet', () => {
    expect(sumTimes(['a', 'd', 'e'], 1, told)).toEqual({ seconds: 2, unknown: 2 })
    expect(sumTimes([], 1, told)).toEqual({ seconds: 0, unknown: 0 })
  })
  it('is read from an estimate', () => {
    expect(readTime({ seconds_estimate: null })).toEqual({ each: null, load: null })
    expect(readTime({ seconds_estimate: { total: 7, load: 4 } as never })).toEqual({ each: 3, load: 4 })
    expect(readTime({ seconds_estimate: { total: 7, load: null } as never })).toEqual({ each: 7, load: null })
  })
})
