import { describe, expect, it } from 'vitest'
import { findDifferences, paintDifference } from './labels'

describe('what tells pictures apart', () => {
  it('is only what differs', () => {
    expect(
      findDifferences([
        { prompt: 'a red star', model: 'demo', seed: 1 },
        { prompt: 'a red star', model: 'demo', seed: 2 },
      ]),
    ).toEqual([{ seed: 1 }, { seed: 2 }])
  })

  it('is the words of the prompt that differ', () => {
    expect(
      findDifferences([
        { prompt: 'a large red star on white' },
        { prompt: 'a green star on white', seed: 4 },
        { prompt: 'a star on white', model: 'other' },
      ]),
    ).toEqual([{ words: 'large red' }, { words: 'green', seed: 4 }, { words: '', model: 'other' }])
  })

  it('is nothing for twins', () => {
    expect(findDifferences([{ prompt: 'a' }, { prompt: 'a' }])).toEqual([{}, {}])
  })

  it('is shown four times as strong', () => {
    const into = new Uint8ClampedArray(4)
    paintDifference(Uint8ClampedArray.from([10, 200, 0, 255]), Uint8ClampedArray.from([20, 100, 0, 255]), into)
    expect([...into]).toEqual([40, 255, 0, 255])
  })
})
