import { describe, expect, it } from 'vitest'
import { chooseParts, listDrawing, readQuantization, type Detection, type ModelFile } from './models'

const detection = (changes: object): Detection =>
  ({
    architecture: { requiredComponents: ['llm', 'vae'] },
    inside: [],
    missing: ['needs a language model', 'needs a VAE'],
    suggestions: {
      llm: [{ name: 'best.gguf' }, { name: 'other.gguf' }],
      vae: [],
      taesd: [{ name: 'tiny.safetensors' }],
    },
    ...changes,
  }) as unknown as Detection

describe('chooseParts', () => {
  it('takes the best file of each part, and a stand-in where there is one', () => {
    expect(chooseParts(detection({}))).toEqual({ parts: { llm: 'best.gguf', taesd: 'tiny.safetensors' }, lacks: [] })
  })
  it('names what is lacking', () => {
    expect(chooseParts(detection({ suggestions: { llm: [] } })).lacks).toEqual(['llm', 'vae'])
    expect(chooseParts(detection({ suggestions: {}, missing: [] })).lacks).toEqual([])
  })
  it('leaves what is inside, and what nobody knows', () => {
    expect(chooseParts(detection({ inside: ['vae', 'llm'] })).parts).toEqual({})
    expect(chooseParts(detection({ architecture: null }))).toEqual({ parts: {}, lacks: [] })
  })
})

describe('model files', () => {
  const file = (name: string, is_loaded = false): ModelFile => ({ name, is_loaded }) as ModelFile

  it('come with the loaded one first, found by words', () => {
    const listing = { checkpoints: [file('b-turbo'), file('a-xl')], diffusion_models: [file('c-turbo', true)] }
    expect(listDrawing(listing).map((one) => one.name)).toEqual(['c-turbo', 'a-xl', 'b-turbo'])
    expect(listDrawing(listing, 'TURBO b-').map((one) => one.name)).toEqual(['b-turbo'])
  })
  it('are found by their titles, too', () => {
    const listing = { checkpoints: [file('b.gguf')], diffusion_models: [] }
    expect(listDrawing(listing, 'nice', () => 'Nice one')).toHaveLength(1)
  })
  it('say how they are quantized', () => {
    expect(
      [
        'z_image_turbo-Q4_K.gguf',
        'demo_dit_q8_0.gguf',
        'sd_xl_turbo_1.0_fp16.safetensors',
        'model.safetensors',
        'x-Q4_K_M.gguf',
      ].map(readQuantization),
    ).toEqual(['Q4_K', 'Q8_0', 'FP16', '', 'Q4_K_M'])
  })
})
