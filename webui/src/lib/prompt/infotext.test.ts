import { describe, expect, it } from 'vitest'
import { parseInfotext, mapInfotext } from './infotext'

const SAMPLERS = ['euler', 'euler_a', 'dpm++2m', 'dpm++2s_a', 'ddim_trailing', 'res_multistep']
const SCHEDULERS = ['discrete', 'karras', 'sgm_uniform', 'ays']
const TEXT = `a lighthouse, (dusk:1.2)
second line
Negative prompt: blurry,
low quality
Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 1234, Size: 512x768, Model hash: abc, Model: "odd, \\"name\\"", Denoising strength: 0.6, Clip skip: 2, Version: v1.9`

describe('parseInfotext', () => {
  it('reads the prompts and the settings', () => {
    const told = parseInfotext(TEXT)!
    expect(told.prompt).toBe('a lighthouse, (dusk:1.2)\nsecond line')
    expect(told.negativePrompt).toBe('blurry,\nlow quality')
    expect(told.pairs).toMatchObject({ Steps: '20', Model: 'odd, "name"', Size: '512x768', 'Clip skip': '2' })
  })

  it('reads one without a negative prompt, and with Windows line ends', () => {
    expect(parseInfotext('a cat\r\nSteps: 9, Sampler: Euler a, Seed: 1')).toMatchObject({
      prompt: 'a cat',
      negativePrompt: '',
    })
    expect(parseInfotext('Steps: 9, Sampler: Euler a, Seed: 1')!.prompt).toBe('')
    expect(
      parseInfotext(String.raw`a
Steps: 9, Model: "a\x", Seed: 1`)!.pairs.Model,
    ).toBe(String.raw`a\x`)
  })

  it('takes prompts for prompts', () => {
    for (const text of [
      '',
      'a cat',
      'Steps: many',
      'Steps: lead up, to: a door',
      'a\nfoo: 1, Steps: 2',
      'Steps:, a: 1, b: 2',
    ])
      expect(parseInfotext(text), text).toBeNull()
  })
})

describe('mapInfotext', () => {
  const use = (line: string) => mapInfotext(parseInfotext(`a\nSteps: 5, ${line}, X: 1`)!, SAMPLERS, SCHEDULERS)

  it('makes fields of it by the names of the server', () => {
    expect(mapInfotext(parseInfotext(TEXT)!, SAMPLERS, SCHEDULERS)).toEqual({
      values: {
        prompt: 'a lighthouse, (dusk:1.2)\nsecond line',
        negative_prompt: 'blurry,\nlow quality',
        steps: 20,
        cfg_scale: 6.5,
        seed: 1234,
        clip_skip: 2,
        strength: 0.6,
        width: 512,
        height: 768,
        sampler: 'dpm++2m',
        scheduler: 'karras',
      },
      unknown: [],
    })
  })

  it('finds samplers in other spellings', () => {
    const sampler = (name: string): unknown => use(`Sampler: ${name}`).values.sampler
    expect(sampler('EULER A')).toBe('euler_a')
    expect(sampler('euler_ancestral')).toBe('euler_a')
    expect(sampler('k_dpmpp_2m')).toBe('dpm++2m')
    expect(sampler('DPM++ 2S a')).toBe('dpm++2s_a')
    expect(sampler('DDIM')).toBe('ddim_trailing')
    expect(sampler('Res Multistep')).toBe('res_multistep')
    expect(use('Sampler: DPM++ 2M SGM Uniform').values).toMatchObject({ sampler: 'dpm++2m', scheduler: 'sgm_uniform' })
    expect(use('Sampler: Euler, Schedule type: Align Your Steps').values).toMatchObject({ scheduler: 'ays' })
    expect(use('Sampler: Euler, Schedule type: Automatic').values).toMatchObject({ scheduler: 'discrete' })
  })

  it('tells what is not here, and leaves out what is no number', () => {
    const { values, unknown } = use('Sampler: UniPC, Schedule type: Turbo, CFG scale: high, Size: big')
    expect(unknown).toEqual(['Sampler: UniPC', 'Schedule type: Turbo'])
    expect(values).toEqual({ prompt: 'a', negative_prompt: '', steps: 5 })
  })

  it('takes the strength of a larger second pass for no strength of this one', () => {
    expect(use('Denoising strength: 0.4, Hires upscale: 2').values.strength).toBeUndefined()
  })
})
