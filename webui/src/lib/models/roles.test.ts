import { describe, expect, it } from 'vitest'
import { buildLoadBody, chooseParts, listRoles, missingParts, partsForFit } from './roles'
import type { ModelFile, ModelType } from './types'

const file = (name: string, type: ModelType): ModelFile => ({
  name,
  type,
  size_bytes: 1,
  file_extension: '',
  hash: null,
})
const files = [file('other_llm.gguf', 'llm'), file('good_llm.gguf', 'llm'), file('tae.safetensors', 'taesd')]
const suggestion = (name: string, type: ModelType) => ({ name, type, form: '', why: 'It fits.' })
const detect = (more: Record<string, unknown> = {}) =>
  ({
    inside: [],
    architecture: { requiredComponents: ['llm', 'vae'], optionalComponents: ['lora', 'taesd'] },
    suggestions: {
      llm: [suggestion('good_llm.gguf', 'llm')],
      vae: [],
      taesd: [suggestion('tae.safetensors', 'taesd')],
    },
    ...more,
  }) as unknown as NonNullable<Parameters<typeof listRoles>[0]>

describe('parts', () => {
  it('are those that the family takes, needed ones first, fitting files first', () => {
    const roles = listRoles(detect(), files)
    expect(roles.map((one) => [one.role, one.isRequired])).toEqual([
      ['vae', true],
      ['llm', true],
      ['taesd', false],
    ])
    expect(roles[1]).toMatchObject({
      fitting: [{ name: 'good_llm.gguf', why: 'It fits.' }],
      others: ['other_llm.gguf'],
    })
  })
  it('may be any where the family is not known', () => {
    expect(listRoles(null, files).length).toBeGreaterThan(8)
    expect(chooseParts(listRoles(null, files))).toEqual({})
  })
  it('are chosen: needed ones, a tiny autoencoder for a VAE, and what the notes name', () => {
    const roles = listRoles(detect(), files)
    expect(chooseParts(roles)).toEqual({ llm: 'good_llm.gguf', taesd: 'tae.safetensors' })
    expect(chooseParts(roles, { llm: 'mine.gguf', vae: 'v' })).toEqual({ llm: 'mine.gguf', vae: 'v' })
    const inside = listRoles(detect({ inside: ['vae', 'llm'] }), files)
    expect(chooseParts(inside)).toEqual({})
    expect(missingParts(inside, {})).toEqual([])
  })
  it('are missed until something is chosen', () => {
    const roles = listRoles(detect(), files)
    expect(missingParts(roles, {})).toEqual(['vae', 'llm'])
    expect(missingParts(roles, { taesd: 'tae', llm: 'x' })).toEqual([])
  })
  it('are sent', () => {
    const chosen = { llm: 'x', vae: '' }
    expect(buildLoadBody(file('m.gguf', 'diffusion'), chosen, {})).toEqual({
      model_name: 'm.gguf',
      model_type: 'diffusion',
      llm: 'x',
    })
    expect(buildLoadBody(file('m', 'lora'), {}, { vae_tiling: true })).toEqual({
      model_name: 'm',
      options: { vae_tiling: true },
    })
    expect(partsForFit(chosen)).toEqual(['llm:x'])
  })
})
