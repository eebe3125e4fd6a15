import { describe, expect, it } from 'vitest'
import { cutPieces, dynamicsOf, embeddingWords, findMarks, isUnknown, KNOWS_NOTHING, type Known } from './marks'
import { NameIndex } from './names'

const known: Known = {
  loras: new NameIndex(['film_grain', 'styles/ink_wash']),
  wildcards: new NameIndex(['weather', 'places/cities']),
  embeddings: embeddingWords(['negative/easy-neg.v2.safetensors']),
}
const shown = (text: string): string =>
  cutPieces(text, known)
    .map((one) => (one.kind ? `${one.kind}${one.unknown ? '!' : ''}«${one.text}»` : one.text))
    .join('')

describe('findMarks', () => {
  it('reads weights, written ones and those of brackets alone, in each other', () => {
    const marks = findMarks('((a)), (b (c:1.3):0.8), [d], (e: -0.5)')
    expect(marks.map((one) => [one.start, one.end, Math.round(one.weight! * 100) / 100])).toEqual([
      [0, 5, 1.1],
      [1, 4, 1.1],
      [7, 22, 0.8],
      [10, 17, 1.3],
      [24, 27, 0.91],
      [29, 38, -0.5],
    ])
  })

  it('reads tags with their names and weights', () => {
    const [lora, wild, embed, random, trigger] = findMarks(
      '<lora:film_grain:0.6> <wildcard:weather,not=rain> <embed:easy> <random:a,b> <trigger>',
    )
    expect(lora).toMatchObject({ kind: 'lora', tag: 'lora', name: 'film_grain', weight: 0.6 })
    expect(wild).toMatchObject({ kind: 'wildcard', name: 'weather' })
    expect(embed).toMatchObject({ kind: 'embedding', name: 'easy' })
    expect(random).toMatchObject({ kind: 'tag', tag: 'random' })
    expect(trigger).toMatchObject({ kind: 'tag', tag: 'trigger' })
    expect(findMarks('<lora:x:half>')[0]!.weight).toBeNull()
  })

  it('leaves alone what is no mark: signs that never close, escaped ones, braces without parts, comparisons', () => {
    for (const text of [
      '(a',
      'a)',
      '[(',
      '<lora:x',
      '{a}',
      String.raw`\(a\)`,
      'a < b > c',
      '<a b>',
      '__ x__',
      '>',
      '____',
    ])
      expect(findMarks(text), text).toEqual([])
  })

  it('closes the nearest sign of its kind and takes what is open in it as text', () => {
    expect(findMarks('(a [b) c]').map((one) => one.kind)).toEqual(['weight'])
    expect(findMarks('<lora:a(b>').map((one) => one.name)).toEqual(['a(b'])
  })

  it('tells a choice from braces by the parts of its own', () => {
    expect(findMarks('{a|b}')[0]!.kind).toBe('choice')
    expect(findMarks('{2$$a}')[0]!.kind).toBe('choice')
    expect(findMarks('{(a|b)}').map((one) => one.kind)).toEqual(['choice', 'weight'])
    expect(findMarks('{<random:a|b>}').map((one) => one.kind)).toEqual(['tag'])
    expect(findMarks('a|b')).toEqual([])
  })

  // Anything that is not linear here takes longer than a test may.
  it('ends with whatever was written, 16,000 characters long', () => {
    const hostile = ['(', ')', '{', '{|', '<a', '<lora:', '__a', '__a b', '()', '[(', ':1', '(a:1', '>', '\\', '__']
    for (const piece of hostile) {
      const half = piece.repeat(Math.floor(8_000 / piece.length))
      for (const text of [half + half, half + '}'.repeat(8_000), half + ')'.repeat(8_000), half + '>'.repeat(8_000)]) {
        const pieces = cutPieces(text, known)
        expect(pieces.map((one) => one.text).join('')).toBe(text)
      }
    }
  })
})

describe('cutPieces', () => {
  it('shows the innermost stretch, and what is unknown', () => {
    expect(shown('a (b <lora:film_grain:1> c:1.2), __weather__ {x|__nope__} <lora:nope>')).toBe(
      'a weight«(b »lora«<lora:film_grain:1>»weight« c:1.2)», wildcard«__weather__» ' +
        'choice«{x|»wildcard!«__nope__»choice«}» lora!«<lora:nope>»',
    )
  })

  it('finds embeddings by their words, in any case', () => {
    expect(shown('bad, Easy-Neg.v2. easy')).toBe('bad, embedding«Easy-Neg.v2». easy')
  })

  it('keeps right-to-left text and every character', () => {
    for (const text of ['', '\n\n', 'منارة (عند الغسق:1.2) 🎉', '(a) (b)'])
      expect(
        cutPieces(text, known)
          .map((one) => one.text)
          .join(''),
      ).toBe(text)
  })

  it('shows a very long prompt, and very many pieces, in one colour', () => {
    expect(cutPieces('(a) '.repeat(10_000), known)).toHaveLength(1)
    const many = cutPieces('(a) '.repeat(4_000), known)
    expect(many.length).toBeLessThan(810)
    expect(many.at(-1)!.kind).toBe('')
    expect(many.map((one) => one.text).join('')).toBe('(a) '.repeat(4_000))
  })
})

describe('isUnknown', () => {
  it('knows nothing to be unknown before the names are there, nor names that are made of tags', () => {
    const [mark] = findMarks('<lora:nope>')
    expect(isUnknown(mark!, KNOWS_NOTHING)).toBe(false)
    expect(isUnknown(mark!, known)).toBe(true)
    expect(isUnknown(findMarks('<lora:{a|b}>')[0]!, known)).toBe(false)
    expect(isUnknown(findMarks('<lora:|high_noise|film_grain>')[0]!, known)).toBe(false)
    expect(isUnknown(findMarks('__cities__')[0]!, known)).toBe(false)
    expect(isUnknown(findMarks('(a)')[0]!, known)).toBe(false)
  })
})

describe('dynamicsOf', () => {
  it('tells what the server has to resolve, and whether by chance', () => {
    const of = (text: string): string => dynamicsOf(findMarks(text))
    expect(of('a (b:1.2) <lora:x:1> [c] {d}')).toBe('none')
    expect(of('<setvar[x]:a> <var:x>')).toBe('tags')
    expect(of('<embed:easy>')).toBe('tags')
    for (const text of ['{a|b}', '__x__', '<wc:x>', '<random:a,b>', '(a {b|c}:1.1)'])
      expect(of(text), text).toBe('chance')
  })
})
