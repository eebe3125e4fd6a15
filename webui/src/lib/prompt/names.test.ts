import { describe, expect, it } from 'vitest'
import { scoreFuzzy, searchNames } from '../fuzzy'
import { closeNames, NameIndex, nameInPrompt, wordOfFile } from './names'

describe('names', () => {
  it('writes files as prompts name them', () => {
    expect(nameInPrompt('styles/film_grain.safetensors')).toBe('styles/film_grain')
    expect(nameInPrompt('v1.5')).toBe('v1.5')
    expect(wordOfFile('negative/easy.pt')).toBe('easy')
    expect(wordOfFile('')).toBe('')
  })
})

describe('NameIndex', () => {
  const index = new NameIndex(['film_grain_xl', 'film_grain', 'a/Ink (wash)'])
  it('prefers the exact name, else the shortest that contains what was written', () => {
    expect(index.find('film_grain')).toBe('film_grain')
    expect(index.find('FILM_GRAIN.safetensors')).toBe('film_grain')
    expect(index.find('film')).toBe('film_grain')
    expect(index.find('grain_xl')).toBe('film_grain_xl')
    expect(index.find(String.raw`a\inkwash`)).toBe('a/Ink (wash)')
    expect(index.find('nope')).toBeNull()
    expect(index.find('nope')).toBeNull()
    expect(index.find(' ')).toBeNull()
  })
})

describe('searchNames', () => {
  const names = ['film_grain', 'add_detail', 'ink_wash', 'grainy', 'a_fig_leaf']
  const search = (query: string): string[] => searchNames(names, query, String)
  it('finds letters in their order, those that begin words first', () => {
    expect(search('grain')).toEqual(['grainy', 'film_grain'])
    expect(search('fg')[0]).toBe('film_grain')
    expect(search('dtl')).toEqual(['add_detail'])
    expect(search('zz')).toEqual([])
    expect(search('')).toEqual(names)
    expect(searchNames(names, 'a', String, 2)).toHaveLength(2)
    expect(scoreFuzzy('', 'x')).toBe(0)
  })
})

describe('closeNames', () => {
  it('finds a misspelt name', () => {
    const names = ['film_grain', 'add_detail', 'ink_wash']
    expect(closeNames('film_grian', names)[0]).toBe('film_grain')
    expect(closeNames('inkwahs', names)).toEqual(['ink_wash'])
    expect(closeNames('qqq', names)).toEqual([])
  })
})
