import { describe, expect, it } from 'vitest'
import {
  dropChip,
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
