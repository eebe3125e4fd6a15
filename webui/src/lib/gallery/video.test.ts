import { expect, it } from 'vitest'
import { stepFrame } from './video'

it('stepFrame goes on and back, and stays inside', () => {
  const rate = 8
  let time = 0
  for (let frame = 1; frame < 16; frame++) {
    time = stepFrame(time, 1, 2, 16)
    expect(Math.floor(time * rate)).toBe(frame)
  }
  expect(Math.floor(stepFrame(time, 1, 2, 16) * rate)).toBe(15)
  expect(Math.floor(stepFrame(time, -1, 2, 16) * rate)).toBe(14)
  expect(stepFrame(0, -1, 2, 16)).toBeLessThan(1 / rate)
  expect(stepFrame(0, 1, 2, undefined)).toBeGreaterThan(1 / 16)
  expect(stepFrame(1, 1, Number.NaN, 16)).toBe(0)
})
