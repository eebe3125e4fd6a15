import { describe, expect, it } from 'vitest'
import { addressOf, isSameSource } from './source'

const output = { from: 'output', path: 'a b/image_0.png', version: '1' } as const
const file = { from: 'file', blob: new Blob(['x']), name: 'x.png' } as const

describe('where a picture of a draft is', () => {
  it('is an address of the server, or nowhere yet', () => {
    expect(addressOf(output)).toMatch(/output\/a%20b\/image_0\.png\?v=1$/)
    expect(addressOf({ from: 'input', jobId: 'j', role: 'init_image' })).toMatch(/jobs\/j\/inputs\/init_image$/)
    expect(addressOf(file)).toBeNull()
  })

  it('tells the same picture from another one', () => {
    expect(isSameSource(output, { ...output })).toBe(true)
    expect(isSameSource(output, { ...output, version: '2' })).toBe(false)
    expect(isSameSource(file, { ...file })).toBe(true)
    expect(isSameSource(file, { ...file, blob: new Blob(['y']) })).toBe(false)
    expect(isSameSource(file, output)).toBe(false)
    expect(isSameSource(undefined, output)).toBe(false)
    expect(isSameSource(undefined, undefined)).toBe(true)
  })
})
