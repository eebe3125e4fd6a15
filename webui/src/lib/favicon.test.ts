import { describe, expect, it } from 'vitest'
import { drawRing, ringOf } from './favicon'

describe('the icon of the window', () => {
  it('fills in steps of five per cent', () => {
    expect([0, 4.9, 5, 52, 99.9, 100, 130, -3].map((one) => ringOf(one, false))).toEqual([0, 0, 5, 50, 95, 100, 100, 0])
  })
  it('stands still where nothing is to move', () => {
    expect([0, 52, 100].map((one) => ringOf(one, true))).toEqual([100, 100, 100])
  })
  it('is a drawing in its own address', () => {
    const address = drawRing(45)
    expect(address).toMatch(/^data:image\/svg\+xml,%3Csvg/)
    expect(decodeURIComponent(address)).toContain('stroke-dasharray="45 100"')
  })
})
