import { describe, expect, it } from 'vitest'
import type { SettingField } from './fields'
import { searchFields, sectionOf, sortIntoSections } from './sections'

const field = (name: string, label: string, description = ''): SettingField => ({
  name,
  label,
  description,
  type: 'number',
  isWhole: false,
  fallback: 0,
})

describe('sections', () => {
  it('keeps on top what everybody uses, in a fixed order', () => {
    const { main, folded } = sortIntoSections(
      ['seed', 'sampler', 'eta', 'steps', 'width', 'hires_scale', 'cache_mode', 'vae_tiling'].map((one) =>
        field(one, one),
      ),
    )
    expect(main.map((one) => one.name)).toEqual(['width', 'steps', 'sampler', 'seed'])
    expect(folded.larger.map((one) => one.name)).toEqual(['hires_scale'])
    expect(folded.rest.map((one) => one.name)).toEqual(['eta'])
    expect(folded.loras).toEqual([])
  })
  it('knows the place of each', () => {
    const places = [
      'hires',
      'upscale_repeats',
      'easycache_end',
      'vae_tile_overlap',
      'pm_style_strength',
      'flow_shift',
      'steps',
    ]
    expect(places.map(sectionOf)).toEqual(['larger', 'larger', 'caches', 'tiling', 'control', 'rest', null])
  })
})

describe('searchFields', () => {
  const fields = [
    field('eta', 'Eta', 'Noise that ancestral samplers add'),
    field('vae_tiling', 'VAE tiling', 'Decode in tiles'),
    field('sampler', 'Sampler', 'One of the samplers'),
    field('hires_steps', 'Länge', ''),
  ]
  const find = (query: string): string[] => searchFields(fields, query).map((one) => one.name)

  it('finds by label, name and meaning, the label first', () => {
    expect(find('sampler')).toEqual(['sampler', 'eta'])
    expect(find('tiles decode')).toEqual(['vae_tiling'])
    expect(find('hires steps')).toEqual(['hires_steps'])
    expect(find('hires_steps')).toEqual(['hires_steps'])
    expect(find('VAE TIL')).toEqual(['vae_tiling'])
  })
  it('does not mind accents', () => {
    expect(find('lange')).toEqual(['hires_steps'])
  })
  it('finds nothing for nothing', () => {
    expect(find('  ')).toEqual([])
    expect(find('qqq')).toEqual([])
  })
})
