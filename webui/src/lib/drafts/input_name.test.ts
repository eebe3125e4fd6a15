import { describe, expect, it } from 'vitest'
import { addressOf, nameOfSource, thumbOf } from './input_name'

describe('a picture that is taken', () => {
  it('has an address where the server has it', () => {
    expect(addressOf({ from: 'output', path: 'j/a b.png', version: 'v' })).toMatch(/output\/j\/a%20b\.png\?v=v$/)
    expect(addressOf({ from: 'input', jobId: 'j', role: 'init_image' })).toMatch(/jobs\/j\/inputs\/init_image$/)
    expect(addressOf({ from: 'file', blob: new Blob(), name: 'x' })).toBeNull()
    expect(thumbOf({ from: 'output', path: 'j/a.png' })).toMatch(/thumb\/j\/a\.png\?size=512/)
    expect(thumbOf({ from: 'input', jobId: 'j', role: 'r' })).toMatch(/inputs\/r$/)
  })

  it('has a name', () => {
    expect(nameOfSource({ from: 'output', path: 'j/a.png' })).toBe('a.png')
    expect(nameOfSource({ from: 'input', jobId: 'j', role: 'mask_image' })).toBe('mask_image')
    expect(nameOfSource({ from: 'file', blob: new Blob(), name: 'x.png' })).toBe('x.png')
  })
})
