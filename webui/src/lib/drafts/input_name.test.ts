import { describe, expect, it, vi } from 'vitest'
import { addressOf, isSameSource, nameOfSource, openSource, thumbOf } from './input_name'

describe('a picture that is taken', () => {
  it('has an address where the server has it', () => {
    expect(addressOf({ from: 'output', path: 'j/a b.png', version: 'v' })).toMatch(/output\/j\/a%20b\.png\?v=v$/)
    expect(addressOf({ from: 'input', jobId: 'j', role: 'init_image' })).toMatch(/jobs\/j\/inputs\/init_image$/)
    expect(addressOf({ from: 'file', blob: new Blob(), name: 'x' })).toBeNull()
    expect(thumbOf({ from: 'output', path: 'j/a.png' })).toMatch(/thumb\/j\/a\.png\?size=512/)
    expect(thumbOf({ from: 'input', jobId: 'j', role: 'r' })).toMatch(/inputs\/r$/)
  })

  it('is shown from where it is, and a file’s address is freed', () => {
    const free = vi.spyOn(URL, 'revokeObjectURL')
    const kept = openSource({ from: 'output', path: 'j/a.png' })
    expect(kept.url).toMatch(/output\/j\/a\.png$/)
    kept.close()
    expect(free).not.toHaveBeenCalled()
    const made = openSource({ from: 'file', blob: new Blob(['x']), name: 'x.png' })
    expect(made.url).toMatch(/^blob:/)
    made.close()
    expect(free).toHaveBeenCalledExactlyOnceWith(made.url)
  })

  it('is told from another one', () => {
    const output = { from: 'output', path: 'a b/image_0.png', version: '1' } as const
    const file = { from: 'file', blob: new Blob(['x']), name: 'x.png' } as const
    expect(isSameSource(output, { ...output })).toBe(true)
    expect(isSameSource(output, { ...output, version: '2' })).toBe(false)
    expect(isSameSource(file, { ...file })).toBe(true)
    expect(isSameSource(file, { ...file, blob: new Blob(['y']) })).toBe(false)
    expect(isSameSource(file, output)).toBe(false)
    expect(isSameSource(output, file)).toBe(false)
  })

  it('has a name', () => {
    expect(nameOfSource({ from: 'output', path: 'j/a.png' })).toBe('a.png')
    expect(nameOfSource({ from: 'input', jobId: 'j', role: 'mask_image' })).toBe('mask_image')
    expect(nameOfSource({ from: 'file', blob: new Blob(), name: 'x.png' })).toBe('x.png')
  })
})
