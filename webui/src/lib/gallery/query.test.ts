import { describe, expect, it } from 'vitest'
import {
  clearChips,
  dropChip,
  isFolded,
  isNarrowed,
  listChips,
  makeFilter,
  nameQuery,
  readQuery,
  writeQuery,
  type GalleryQuery,
} from './query'

const full: GalleryQuery = {
  q: 'fox -snow',
  model: 'a & b.gguf',
  lora: 'grain',
  architecture: 'SDXL',
  board: 'Föxe',
  kind: 'image',
  starred: false,
  width: 512,
  height: 768,
  rating: 3,
  seed: 0,
  jobId: 'j1',
}

describe('the address', () => {
  it('says all of a query and reads it again', () => {
    const address = new URLSearchParams(writeQuery(full)).toString()
    expect(readQuery(Object.fromEntries(new URLSearchParams(address)))).toEqual(full)
    expect(writeQuery({})).toEqual({})
  })
  it('reads nothing out of nonsense', () => {
    expect(
      readQuery({ q: '  ', kind: 'x', starred: 'maybe', size: '0x5', rating: '9', seed: '-1', bin: '1', other: 'y' }),
    ).toEqual({})
    expect(readQuery({ starred: 'yes', size: '1e3x5', seed: '1.5' })).toEqual({ starred: true })
  })
  it('has no words in the bin: the server cannot search it', () => {
    expect(readQuery({ q: 'fox', bin: 'yes', kind: 'video' })).toEqual({ deleted: true, kind: 'video' })
    expect(writeQuery({ deleted: true })).toEqual({ bin: 'yes' })
  })
})

describe('a list with groups', () => {
  it('is kept in the address, and is no filter', () => {
    for (const query of [{ grouped: true }, { grouped: false }, { grouped: true, group: 'job:1 2', model: 'a' }]) {
      expect(readQuery(writeQuery(query))).toEqual(query)
      expect(makeFilter(query)).not.toHaveProperty('grouped')
    }
    expect(readQuery({ grouped: 'maybe' })).toEqual({})
    expect(isNarrowed({ grouped: true })).toBe(false)
    expect(isNarrowed({ group: 'job:1' })).toBe(true)
  })
  it('shows the pictures of one group one by one', () => {
    expect(isFolded({ grouped: true })).toBe(true)
    expect(isFolded({ grouped: true, group: 'job:1' })).toBe(false)
    expect(isFolded({ grouped: true, jobId: '1' })).toBe(false)
    expect(isFolded({ grouped: false })).toBe(false)
    expect(makeFilter({ grouped: true, group: 'job:1' })).toEqual({ group: 'job:1' })
  })
  it('stays where it is when the chips go', () => {
    const query = { q: 'fox', group: 'job:1', grouped: true, kind: 'image' as const }
    expect(listChips(query)).toEqual([{ name: 'kind', value: 'image' }])
    expect(clearChips(query)).toEqual({ q: 'fox', group: 'job:1', grouped: true })
  })
})

describe('makeFilter', () => {
  it('uses the words of the server', () => {
    const { jobId, ...others } = full
    expect(makeFilter(full)).toEqual({ ...others, job_id: jobId })
    expect(makeFilter({ q: undefined })).toEqual({})
  })
})

describe('chips', () => {
  it('are all but the words', () => {
    expect(listChips(full).map((one) => one.name)).toEqual([
      'model',
      'lora',
      'architecture',
      'board',
      'kind',
      'starred',
      'size',
      'rating',
      'seed',
      'job',
    ])
  })
  it('are taken away one by one', () => {
    expect(dropChip(full, 'size')).not.toHaveProperty('width')
    expect(dropChip({ starred: true }, 'starred')).toEqual({})
  })
  it('tell whether anything narrows', () => {
    expect(isNarrowed({ deleted: true })).toBe(false)
    expect(isNarrowed({ q: 'a' })).toBe(true)
  })
})

it('nameQuery is the same for the same', () => {
  expect(nameQuery({ kind: 'image', q: 'a' })).toBe(nameQuery({ q: 'a', kind: 'image' }))
})
