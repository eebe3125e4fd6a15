import { describe, expect, it } from 'vitest'
import { diffWords } from './diff'
import { HistoryWalk, promptsOf, searchPrompts } from './history'
import { whyUnused } from './negative'
import { tellTokens, type EncoderCount } from './tokens'

describe('diffWords', () => {
  const told = (a: string, b: string): string =>
    diffWords(a, b)
      .map((one) => ({ same: one.text, gone: `[-${one.text}]`, new: `[+${one.text}]` })[one.kind])
      .join('')
  it('tells words that went and came', () => {
    expect(told('a cat', 'a cat')).toBe('a cat')
    expect(told('a red cat', 'a blue cat')).toBe('a [-red ][+blue ]cat')
    expect(told('', 'a cat')).toBe('[+a cat]')
    expect(told('a cat', '')).toBe('[-a cat]')
    expect(told('one two three four', 'zero one three five four')).toBe('[+zero ]one [-two ]three [+five ]four')
  })
  it('adds up to both texts', () => {
    const a = 'a lighthouse, on a cliff; at dusk (warm:1.2)'
    const b = 'a tall lighthouse on a basalt cliff at dusk, (warm:1.2) light'
    const parts = diffWords(a, b)
    expect(
      parts
        .filter((one) => one.kind !== 'new')
        .map((one) => one.text)
        .join(''),
    ).toBe(a)
    expect(
      parts
        .filter((one) => one.kind !== 'gone')
        .map((one) => one.text)
        .join(''),
    ).toBe(b)
  })
  it('tells very long texts as a whole', () => {
    const long = (word: string): string => Array.from({ length: 3_000 }, (_, at) => `${word}${at}`).join(' ')
    expect(diffWords(long('a'), long('b')).map((one) => one.kind)).toEqual(['gone', 'new'])
  })
})

describe('history', () => {
  it('lists prompts as they were written, each once', () => {
    const jobs = [
      { params: { prompt: 'a red cat', original_prompt: 'a {red|blue} cat' } },
      { params: { prompt: 'dog' } },
      { params: { prompt: 'dog', original_prompt: '' } },
      { params: { prompt: ' ' } },
      { params: null },
      {},
    ]
    expect(promptsOf(jobs)).toEqual(['a {red|blue} cat', 'dog'])
    expect(searchPrompts(['a Red cat', 'a dog'], ' cat red')).toEqual(['a Red cat'])
    expect(searchPrompts(['a'], '')).toEqual(['a'])
  })

  it('walks back and forth, and gives back what was typed', () => {
    const walk = new HistoryWalk()
    const prompts = ['new', 'old']
    expect(walk.step(prompts, 'typed', -1)).toBeNull()
    expect(walk.step(prompts, 'typed', 1)).toBe('new')
    expect(walk.step(prompts, 'new', 1)).toBe('old')
    expect(walk.step(prompts, 'old', 1)).toBeNull()
    expect(walk.step(prompts, 'old', -1)).toBe('new')
    expect(walk.step(prompts, 'new', -1)).toBe('typed')
    expect(walk.step(prompts, 'typed', -1)).toBeNull()
    // What is changed on the way is what is kept from there on.
    expect(walk.step(prompts, 'typed', 1)).toBe('new')
    expect(walk.step(prompts, 'new and more', 1)).toBe('new')
    expect(walk.step(prompts, 'new', -1)).toBe('new and more')
  })

  it('takes no step to what stands there already', () => {
    const walk = new HistoryWalk()
    expect(walk.step(['new', 'old'], 'new', 1)).toBe('old')
    expect(walk.step([], '', 1)).toBeNull()
  })
})

describe('tellTokens', () => {
  const count = (of: Partial<EncoderCount>): EncoderCount => ({
    count: 0,
    chunk: null,
    chunks: null,
    limit: null,
    truncated_at_character: null,
    exact: true,
    ...of,
  })
  it('tells the encoder with the least room', () => {
    expect(tellTokens('a', [])).toBeNull()
    expect(tellTokens('a', [count({ count: 8, exact: false })])).toEqual({
      count: 8,
      isExact: false,
      parts: null,
      cutFrom: null,
    })
    const told = tellTokens('a', [count({ count: 80, chunk: 255 }), count({ count: 90, chunk: 75, chunks: 2 })])
    expect(told).toMatchObject({ count: 90, parts: 2 })
    expect(tellTokens('a', [count({ count: 151, chunk: 75 })])!.parts).toBe(3)
  })
  it('names the first word that is cut, counted in characters', () => {
    const cut = (text: string, at: number): string | null =>
      tellTokens(text, [count({ chunk: 20 }), count({ chunk: 75, truncated_at_character: at })])!.cutFrom
    expect(cut('a red lighthouse here', 6)).toBe('lighthouse')
    expect(cut('a red lighthouse here', 9)).toBe('lighthouse')
    expect(cut('🎉 red', 2)).toBe('red')
    expect(cut('a , , ', 2)).toBe(', ,')
  })
})

describe('whyUnused', () => {
  it('tells whether a negative prompt counts', () => {
    expect(whyUnused(7, 7, false)).toBeNull()
    expect(whyUnused(1, 7, false)).toBe('guidance')
    expect(whyUnused(1, 1, true)).toBe('model')
    expect(whyUnused(3, 1, true)).toBeNull()
    expect(whyUnused(7, 7, true)).toBe('model')
    expect(whyUnused(1, 7, false, 1.5)).toBeNull()
    expect(whyUnused(1, 7, false, -1)).toBe('guidance')
    expect(whyUnused(undefined, undefined, false)).toBeNull()
  })
})
