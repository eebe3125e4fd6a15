import { describe, expect, it } from 'vitest'
import {
  countByType,
  fileOf,
  findLoadable,
  findModels,
  flattenModels,
  folderOf,
  hasOnlyDemo,
  idOf,
  isDemo,
  quantOf,
  readId,
  stemOf,
} from './catalog'
import { drawsPictures, isModelType, type ModelFile, type ModelType } from './types'

function file(name: string, type: ModelType = 'lora', size_bytes = 1, is_loaded?: boolean): ModelFile {
  return { name, type, size_bytes, file_extension: '.safetensors', hash: null, ...(is_loaded ? { is_loaded } : {}) }
}

const EMPTY = {
  checkpoints: [],
  diffusion_models: [],
  vae: [],
  loras: [],
  clip: [],
  t5: [],
  controlnets: [],
  llm: [],
  esrgan: [],
  taesd: [],
  embeddings: [],
}

describe('lists', () => {
  it('are made one, and counted', () => {
    const files = flattenModels({
      ...EMPTY,
      loras: [file('a.safetensors')],
      checkpoints: [file('b.ckpt', 'checkpoint')],
      loaded_model: null,
      loaded_model_type: null,
    })
    expect(files.map((one) => one.name)).toEqual(['b.ckpt', 'a.safetensors'])
    expect(countByType(files)).toMatchObject({ lora: 1, checkpoint: 1, vae: 0 })
  })
  it('are searched by every word, in names and titles, and sorted with what is loaded first', () => {
    const files = [
      file('style 10.safetensors', 'lora', 5),
      file('Style 9.safetensors', 'lora', 9),
      file('flux.gguf', 'diffusion', 7, true),
      file('x"><b>.safetensors', 'vae', 1),
    ]
    const names = (wanted: Parameters<typeof findModels>[1], titles?: (one: ModelFile) => string): string[] =>
      findModels(files, wanted, titles).map((one) => one.name)
    expect(names({ type: '', words: '', sort: 'name' })).toEqual([
      'flux.gguf',
      'Style 9.safetensors',
      'style 10.safetensors',
      'x"><b>.safetensors',
    ])
    expect(names({ type: 'lora', words: '', sort: 'size' })[0]).toBe('Style 9.safetensors')
    expect(names({ type: '', words: '', sort: 'type' }).at(-1)).toBe('x"><b>.safetensors')
    expect(names({ type: '', words: 'STYLE 1', sort: 'name' })).toEqual(['style 10.safetensors'])
    expect(names({ type: '', words: 'pretty', sort: 'name' }, (one) => (one.type === 'vae' ? 'Pretty' : ''))).toEqual([
      'x"><b>.safetensors',
    ])
  })
})

describe('names', () => {
  it('have folders and endings', () => {
    expect([fileOf('a/b.gguf'), folderOf('a/b.gguf'), folderOf('b.gguf'), stemOf('a/b.gguf')]).toEqual([
      'b.gguf',
      'a',
      '',
      'b',
    ])
  })
  it('stand in addresses', () => {
    expect(idOf({ type: 'lora', name: 'a/b:c.safetensors' })).toBe('lora:a/b:c.safetensors')
    expect(readId('lora:a/b:c.safetensors')).toEqual({ type: 'lora', name: 'a/b:c.safetensors' })
    for (const wrong of ['', 'lora', 'lora:', ':a', 'shoe:a']) expect(readId(wrong)).toBeNull()
    expect([isModelType('lora'), isModelType('shoe'), drawsPictures('lora'), drawsPictures('diffusion')]).toEqual([
      true,
      false,
      false,
      true,
    ])
  })
  it('find what can be loaded, with or without folder and ending', () => {
    const files = [file('m.safetensors'), file('x/m.gguf', 'diffusion')]
    for (const name of ['x/m.gguf', 'm.gguf', 'm', 'diffusion:x/m.gguf'])
      expect(findLoadable(files, name)?.name).toBe('x/m.gguf')
    expect(findLoadable(files, 'other')).toBeUndefined()
  })
  it.each([
    ['z_image_turbo-Q4_K.gguf', 'Q4_K'],
    ['Qwen3-4B-Instruct-2507-Q4_K_M.gguf', 'Q4_K_M'],
    ['Qwen3-4B-UD-Q4_K_XL.gguf', 'Q4_K_XL'],
    ['flux1-dev-q8_0.gguf', 'Q8_0'],
    ['a/x-IQ4_NL.gguf', 'IQ4_NL'],
    ['sd_xl_turbo_1.0_fp16.safetensors', 'F16'],
    ['model_fp8_e4m3fn.safetensors', 'FP8'],
    ['z_bf16.safetensors', 'BF16'],
    ['q4_style.safetensors', ''],
    ['sd_turbo.safetensors', ''],
  ])('tell the number format of %s', (name, quant) => expect(quantOf(name)).toBe(quant))
  it('tell whether the demo is all there is', () => {
    expect(isDemo('x/demo_dit_q8_0.gguf')).toBe(true)
    expect(hasOnlyDemo(null)).toBe(false)
    expect(hasOnlyDemo({ checkpoints: [], diffusion_models: ['demo_dit_q8_0.gguf'] })).toBe(true)
    expect(hasOnlyDemo({ checkpoints: ['sd.safetensors'], diffusion_models: [] })).toBe(false)
  })
})
