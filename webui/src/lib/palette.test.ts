import { describe, expect, it } from 'vitest'
import { findItems, matchLabel } from './palette'

describe('what a few letters mean', () => {
  it('is a beginning, then words, then letters in their order', () => {
    const ranks = ['Gallery', 'Open the gallery', 'Megalleryx', 'g a l l e r y of all', 'Queue'].map((label) =>
      matchLabel('gallery', label),
    )
    expect(ranks).toEqual([100, 80, 60, 20, 0])
    expect(matchLabel('', 'anything')).toBe(1)
    expect(matchLabel('warte', 'Wärteschlange')).toBe(100)
    expect(matchLabel('z tur', 'Z-Image Turbo')).toBe(80)
  })

  it('keeps the given order among equals, and ends somewhere', () => {
    const items = ['steps', 'seed', 'size', 'sampler'].map((label) => ({ label }))
    expect(findItems('s', items, 3).map((one) => one.label)).toEqual(['steps', 'seed', 'size'])
    expect(findItems('xyz', items, 3)).toEqual([])
  })
})
