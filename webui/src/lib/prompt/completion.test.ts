import { describe, expect, it } from 'vitest'
import {
  findQuery,
  lorasIn,
  missingWords,
  putIn,
  renameMark,
  suggest,
  takeSuggestion,
  writeSuggestion,
  type Offer,
} from './completion'
import { findMarks } from './marks'
import type { Edit } from './weights'

const offer: Offer = {
  loras: ['film_grain.safetensors', 'styles/ink_wash.safetensors', 'add_detail.safetensors'],
  wildcards: ['weather', 'places/cities'],
  embeddings: ['easynegative.safetensors'],
  styles: ['Cinematic'],
  triggers: ['35mm photo', 'grainy'],
}
const at = (text: string): string[] => {
  const caret = text.indexOf('‸')
  const query = findQuery(text.replace('‸', ''), caret)
  return query ? suggest(query, offer).map((one) => `${one.kind} ${one.label}`) : []
}
const apply = (text: string, edit: Edit): string => {
  const changed = text.slice(0, edit.start) + edit.text + text.slice(edit.end)
  return `${changed.slice(0, edit.selectionEnd)}‸${changed.slice(edit.selectionEnd)}`
}
const take = (text: string, at = 0): string => {
  const caret = text.indexOf('‸')
  const plain = text.replace('‸', '')
  const query = findQuery(plain, caret)!
  return apply(plain, takeSuggestion(plain, caret, query, suggest(query, offer)[at]!, 0.6))
}

describe('findQuery and suggest', () => {
  it('offers LoRAs, wildcards, embeddings and tags after a <', () => {
    expect(at('a <‸')).toHaveLength(8)
    expect(at('a <fil‸')[0]).toBe('lora film_grain')
    expect(at('<rand‸')[0]).toBe('tag random')
    expect(at('<lora:ink‸')).toEqual(['lora styles/ink_wash'])
    expect(at('<lora:gr‸')[0]).toBe('lora film_grain')
    expect(at('<wc:cit‸')).toEqual(['wildcard places/cities'])
    expect(at('<embed:ea‸')).toEqual(['embedding easynegative'])
    expect(at('<p:cin‸')).toEqual(['style Cinematic'])
  })

  it('offers wildcards after two lines, but not after a closed one', () => {
    expect(at('a __‸')).toEqual(['wildcard weather', 'wildcard places/cities'])
    expect(at('__we‸')).toEqual(['wildcard weather'])
    expect(at('__weather__‸')).toEqual([])
    expect(at('snake__we‸')).toEqual([])
  })

  it('guesses at words after two letters, only at good ones', () => {
    expect(at('e‸')).toEqual([])
    expect(at('ea‸')).toEqual(['embedding easynegative'])
    expect(at('sy‸')).toEqual([])
    expect(at('35‸')).toEqual(['trigger 35mm photo'])
    expect(at('ph‸')).toEqual(['trigger 35mm photo'])
    expect(at('grainy‸')).toEqual([])
    expect(at('ea‸sel')).toEqual([])
    expect(at('ngtv‸')).toEqual(['embedding easynegative'])
  })

  it('offers nothing within other tags, weights of LoRAs and plain text', () => {
    for (const text of ['<random:re‸', '<lora:film:0.‸', 'a < b‸', '‸', 'zzz‸']) expect(at(text), text).toEqual([])
  })
})

describe('takeSuggestion', () => {
  it('writes what a prompt needs, and takes the rest of an old tag away', () => {
    expect(take('a <fil‸')).toBe('a <lora:film_grain:0.6>‸')
    expect(take('a <lora:fil‸m:1> b')).toBe('a <lora:film_grain:0.6>‸ b')
    expect(take('__wea‸')).toBe('__weather__‸')
    expect(take('__wea‸ther__ b')).toBe('__weather__‸ b')
    expect(take('x ea‸, y')).toBe('x easynegative‸, y')
    expect(take('<rand‸')).toBe('<random:‸>')
    expect(take('<p:cin‸')).toBe('<preset:Cinematic>‸')
    expect(take('35‸')).toBe('35mm photo‸')
  })

  it('writes a LoRA with full weight where nobody says another', () => {
    expect(writeSuggestion({ kind: 'lora', name: 'a.safetensors', label: 'a' }).text).toBe('<lora:a:1>')
    expect(writeSuggestion({ kind: 'tag', name: 'new', label: 'new' })).toEqual({ text: '<new:>', caret: 5 })
  })
})

describe('putIn', () => {
  it('keeps what is put in apart from the words around it', () => {
    expect(apply('', putIn('', 0, 0, 'grain'))).toBe('grain‸')
    expect(apply('a cat', putIn('a cat', 5, 5, 'grain'))).toBe('a cat, grain‸')
    expect(apply('a cat,', putIn('a cat,', 6, 6, 'grain'))).toBe('a cat, grain‸')
    expect(apply('a cat', putIn('a cat', 5, 5, '<lora:x:1>'))).toBe('a cat <lora:x:1>‸')
    expect(apply('a cat', putIn('a cat', 2, 2, 'grain'))).toBe('a grain‸, cat')
    expect(apply('a cat', putIn('a cat', 2, 2, '<lora:x:1>'))).toBe('a <lora:x:1>‸ cat')
    expect(apply('a cat', putIn('a cat', 2, 5, 'dog'))).toBe('a dog‸')
  })
})

describe('what a prompt names', () => {
  it('lists LoRAs once, and the trigger words that are missing', () => {
    expect(lorasIn(findMarks('<lora:a:1> <lora:b> <lora:a:0.5> <lora:>'))).toEqual(['a', 'b'])
    expect(missingWords('a Film Grain', ['film grain', '35mm'])).toEqual(['35mm'])
  })

  it('renames one that is unknown', () => {
    const text = 'lora (<lora:lora:0.6>:1.2)'
    expect(apply(text, renameMark(text, 'lora', 'lora', 'ink')!)).toBe('lora (<lora:ink‸:0.6>:1.2)')
    expect(apply('__x__', renameMark('__x__', 'wildcard', 'x', 'weather')!)).toBe('__weather‸__')
    expect(renameMark('a', 'lora', 'x', 'y')).toBeNull()
  })
})
