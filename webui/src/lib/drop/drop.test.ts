import { describe, expect, it } from 'vitest'
import { classifyFile, findModelLink, refuseFile } from './classify'
import { chooseValues, listMissing, listRows, modeOf, writeValue, type ReadSettings } from './restore'

const file = (name: string, type = '', size = 10) => ({ name, type, size })

describe('what was dropped', () => {
  it('is known by its ending, else by its type', () => {
    const kinds = ['a.PNG', 'b.jpeg', 'c.mp4', 'd.safetensors', 'e.csv', 'f.svg', 'g.heic', '.png', 'h'].map((name) =>
      classifyFile(file(name)),
    )
    expect(kinds).toEqual([
      'picture',
      'picture',
      'video',
      'model',
      'styles',
      'unsupported',
      'unsupported',
      'unsupported',
      'unsupported',
    ])
    expect(classifyFile(file('image', 'image/png'))).toBe('picture')
    expect(classifyFile(file('clip', 'video/webm'))).toBe('video')
    expect(classifyFile(file('x', 'image/svg+xml'))).toBe('unsupported')
  })

  it('is refused for what can be seen from outside', () => {
    expect(refuseFile(file('a.svg'), 100)).toBe('unsupported')
    expect(refuseFile(file('a.png', '', 0), 100)).toBe('empty')
    expect(refuseFile(file('a.png', '', 101), 100)).toBe('too-large')
    expect(refuseFile(file('a.gguf', '', 101), 100)).toBeNull()
    expect(refuseFile(file('a.png', '', 100), 100)).toBeNull()
  })

  it('may be a link to a model', () => {
    expect(findModelLink(' https://huggingface.co/org/repo/blob/main/a.gguf ')).toBe(
      'https://huggingface.co/org/repo/blob/main/a.gguf',
    )
    expect(findModelLink('https://www.civitai.com/models/123/name?modelVersionId=4')).toContain('/models/123')
    expect(findModelLink('http://nas.lan/files/a.safetensors')).toBe('http://nas.lan/files/a.safetensors')
    for (const text of [
      'a prompt',
      'https://huggingface.co/org',
      'https://civitai.com/user/x',
      'javascript:alert(1)//huggingface.co/a/b',
      'https://example.org/a.png',
      `https://huggingface.co/${'x'.repeat(3000)}`,
    ])
      expect(findModelLink(text)).toBeNull()
  })
})

const read = {
  tool: 'a1111',
  fields: { model: { name: 'dreamy', hash: 'abc' }, loras: [{ name: 'ink', weight: 1, hash: 'ff' }], vae: 'v.pt' },
  matches: {
    model: null,
    loras: [
      { wanted: 'ink', found: null },
      { wanted: 'wash', found: 'wash.safetensors' },
    ],
    vae: null,
  },
  submit: {
    kind: 'img2img',
    body: { zeta: [1], steps: 4, prompt: 'a star', seed: 3, none: null },
    needs: ['init_image_base64'],
  },
} as unknown as ReadSettings

describe('settings out of a file', () => {
  it('are listed, the well-known first, and taken as far as chosen', () => {
    const rows = listRows(read)
    expect(rows.map((row) => row.field)).toEqual(['prompt', 'steps', 'seed', 'zeta'])
    expect(listRows(read, 'mine.gguf')[0]).toEqual({ field: 'model_name', value: 'mine.gguf' })
    expect(chooseValues(rows, new Set(['prompt', 'seed']))).toEqual({ prompt: 'a star', seed: 3 })
    expect(writeValue([1])).toBe('[1]')
    expect(writeValue('a')).toBe('a')
  })

  it('name what is not here', () => {
    expect(listMissing(read)).toEqual([
      { kind: 'model', name: 'dreamy', hash: 'abc' },
      { kind: 'lora', name: 'ink', hash: 'ff' },
      { kind: 'vae', name: 'v.pt', hash: '' },
    ])
    expect(
      listMissing({ fields: {}, matches: { model: null, loras: [], vae: null } } as unknown as ReadSettings),
    ).toEqual([])
  })

  it('choose the mode that draws it again', () => {
    expect(modeOf(read)).toBe('image')
    expect(modeOf({ submit: { kind: 'txt2vid' } } as unknown as ReadSettings)).toBe('video')
    expect(modeOf({ submit: null } as unknown as ReadSettings)).toBe('text')
    expect(listRows({ submit: null } as unknown as ReadSettings)).toEqual([])
  })
})
