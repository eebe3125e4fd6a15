import { describe, expect, it } from 'vitest'
import { checkValue, isNeeded, listFields, readList, readNumber, sliderOf, type Options, type Preset } from './fields'

const MODES = ['txt2img', 'img2img', 'txt2vid']
const options = {
  samplers: [],
  schedulers: [],
  options: {
    prompt: { label: 'Prompt', description: '', type: 'string', required: true, modes: MODES },
    init_image_base64: { label: 'Init', description: '', type: 'object', required: true, modes: ['img2img'] },
    steps: {
      integer: true,
      label: 'Steps',
      description: 'S',
      type: 'number',
      required: false,
      default: 20,
      minimum: 1,
      maximum: 10000,
      modes: MODES,
    },
    strength: {
      label: 'Strength',
      description: '',
      type: 'number',
      required: false,
      default: 0.75,
      minimum: 0,
      maximum: 1,
      modes: ['img2img'],
    },
    sampler: {
      label: 'Sampler',
      description: '',
      type: 'select',
      required: false,
      default: 'euler_a',
      modes: MODES,
      values: { euler: '' },
    },
    clip_skip: {
      label: 'CLIP skip',
      description: '',
      type: 'number',
      required: false,
      default: -1,
      modes: MODES,
      no_effect: 'no CLIP here',
    },
    eta: { label: 'Eta', description: '', type: 'number', required: false, modes: MODES },
  },
} as unknown as Options
const preset = {
  generationDefaults: { steps: 12 },
  recommended: { steps: { min: 6, max: 24, recommended: 12 }, sampler: 'euler' },
  ignores: [{ field: 'eta', reason: 'no noise' }],
} as unknown as Preset

describe('listFields', () => {
  const fields = listFields(options, preset, 'txt2img', { steps: 'Schritte' })
  const byName = Object.fromEntries(fields.map((one) => [one.name, one]))

  it('leaves out texts, pictures and what the mode does not know', () => {
    expect(fields.map((one) => one.name)).toEqual(['steps', 'sampler', 'clip_skip', 'eta'])
  })
  it('takes default and recommendation of the model before those of the server', () => {
    expect(byName.steps).toMatchObject({ label: 'Schritte', fallback: 12, recommended: 12, range: { min: 6, max: 24 } })
    expect(byName.sampler).toMatchObject({
      label: 'Sampler',
      fallback: 'euler_a',
      recommended: 'euler',
      range: undefined,
    })
  })
  it('tells what has no effect, from the options or the model', () => {
    expect(byName.clip_skip!.noEffect).toBe('no CLIP here')
    expect(byName.eta!.noEffect).toBe('no noise')
    expect(byName.steps!.noEffect).toBeUndefined()
  })
  it('is empty as long as nothing is known', () => {
    expect(listFields(null, null, 'txt2img')).toEqual([])
    expect(listFields(options, null, 'img2img').find((one) => one.name === 'steps')!.fallback).toBe(20)
  })
  it('slides where a sensible range is known', () => {
    expect(sliderOf(byName.steps!)).toEqual({ min: 1, max: 24, step: 1 })
    expect(sliderOf(byName.eta!)).toBeNull()
    expect(sliderOf(byName.sampler!)).toBeNull()
    const strength = listFields(options, preset, 'img2img').find((one) => one.name === 'strength')!
    expect(sliderOf(strength)).toEqual({ min: 0, max: 1, step: 0.01 })
    expect(sliderOf({ ...byName.eta!, range: { min: 1, max: 4.4 } })).toEqual({ min: 1, max: 4.4, step: 0.1 })
    expect(sliderOf({ ...byName.eta!, range: { min: 0, max: 2 } })).toMatchObject({ step: 0.05 })
  })
})

describe('isNeeded', () => {
  it('puts a field away whose switch is off', () => {
    const values: Record<string, unknown> = { hires: false, cache_mode: 'disabled', upscale: true }
    const of = (name: string): boolean => isNeeded(name, (field) => values[field])
    expect([
      of('hires'),
      of('hires_scale'),
      of('upscale_repeats'),
      of('cache_options'),
      of('vae_tile_overlap'),
      of('easycache_end'),
    ]).toEqual([true, false, true, false, false, false])
    values.cache_mode = 'ucache'
    expect(of('cache_options')).toBe(true)
  })
})

describe('checkValue', () => {
  const steps = { type: 'number', minimum: 1, maximum: 100, isWhole: true, fallback: 20 } as const

  it('takes what is right, and nothing', () => {
    for (const value of [1, 100, undefined, null, '']) expect(checkValue(steps, value)).toBeNull()
  })
  it('says what is wrong with a number', () => {
    expect(checkValue(steps, 'ten')).toEqual({ what: 'number' })
    expect(checkValue(steps, Number.NaN)).toEqual({ what: 'number' })
    expect(checkValue(steps, 1.5)).toEqual({ what: 'whole' })
    expect(checkValue(steps, 0)).toEqual({ what: 'range', least: 1, most: 100 })
    expect(checkValue({ ...steps, maximum: undefined }, 0)).toEqual({ what: 'least', least: 1 })
    expect(checkValue({ ...steps, minimum: undefined }, 101)).toEqual({ what: 'most', most: 100 })
  })
  it('wants numbers in a list of numbers, and leaves other lists alone', () => {
    const layers = { type: 'array', isWhole: false, fallback: [7] } as const
    expect(checkValue(layers, [7, 8])).toBeNull()
    expect(checkValue(layers, [7, 'x'])).toEqual({ what: 'numbers' })
    expect(checkValue(layers, 'x')).toEqual({ what: 'numbers' })
    expect(checkValue({ ...layers, fallback: [] }, ['a'])).toBeNull()
    expect(checkValue({ type: 'string', isWhole: false, fallback: '' }, 'a')).toBeNull()
  })
})

describe('what is typed', () => {
  it('becomes a number where it is one', () => {
    expect([readNumber(' 1,5 '), readNumber('2'), readNumber(''), readNumber('x')]).toEqual([1.5, 2, undefined, 'x'])
  })
  it('becomes a list', () => {
    expect(readList('7, 8;9,', true)).toEqual([7, 8, 9])
    expect(readList('7, x', true)).toEqual([7, 'x'])
    expect(readList('a, 1', false)).toEqual(['a', '1'])
  })
})
