import { describe, expect, it } from 'vitest'
import { makeDraft, type DraftInputs } from '../drafts/draft'
import { knobsOf, nameKnob, turnKnob } from './caches'
import { addWords, weightsIn, writeLora } from './loras'
import { extraInputsOf, inputsOf, missingPicture, obstacleOf } from './modes'
import type { Preset } from './fields'
import { applySettings, DOT, fieldOfPath, settingsOf, sketchRequest } from './request'

describe('LoRAs in a prompt', () => {
  it('are read', () => {
    expect([...weightsIn('a <lora:grain:0.6> b <lora:x> <lora:y:.> <lora:z:1:0.5> <lora:grain:1>')].sort()).toEqual([
      ['grain', 0.6],
      ['x', 1],
      ['y', 1],
      ['z', 1],
    ])
    expect(weightsIn('a <lora:grain.safetensors:0.6>').get('grain')).toBe(0.6)
    expect(weightsIn('a').size).toBe(0)
  })
  it('are written, changed in their place and taken out', () => {
    expect(writeLora('a cat ', 'grain.safetensors', 0.6)).toBe('a cat <lora:grain:0.6>')
    expect(writeLora('', 'ink.sft', 1)).toBe('<lora:ink:1>')
    expect(writeLora('', 'grain.safetensors', 1)).toBe('<lora:grain:1>')
    expect(writeLora('a <lora:grain:0.6> cat', 'grain.safetensors', 0.85)).toBe('a <lora:grain:0.85> cat')
    expect(writeLora('a <lora:grain:0.6> cat <lora:grain:1>', 'grain.safetensors', 0.5)).toBe('a <lora:grain:0.5> cat ')
    expect(writeLora('a <lora:grain:0.6> cat', 'grain.safetensors', null)).toBe('a cat')
    expect(writeLora('a <lora:other:1>', 'grain.safetensors', null)).toBe('a <lora:other:1>')
  })
  it('bring their words, once', () => {
    expect(addWords('a cat, ', 'film grain')).toBe('a cat, film grain')
    expect(addWords('', 'film grain')).toBe('film grain')
    expect(addWords('Film Grain', 'film grain')).toBe('Film Grain')
  })
})

describe('modes', () => {
  const preset = (changes: Partial<Preset>): Preset =>
    ({
      makes_images: true,
      makes_video: false,
      takes_reference_images: false,
      takes_controlnet: false,
      ignores: [],
      ...changes,
    }) as Preset

  it('tell what keeps the model from them', () => {
    expect(obstacleOf('text', preset({}), null)).toBeNull()
    expect(obstacleOf('video', preset({}), null)).toEqual({ why: 'noVideo' })
    expect(obstacleOf('edit', preset({}), null)).toEqual({ why: 'noEdit' })
    expect(obstacleOf('edit', preset({ takes_reference_images: true }), null)).toBeNull()
    expect(obstacleOf('text', preset({ makes_images: false, makes_video: true }), null)).toEqual({ why: 'noPictures' })
    const told = preset({ ignores: [{ field: 'init_image_base64', reason: 'reads no pictures' }] })
    expect(obstacleOf('image', told, null)).toEqual({ why: 'told', text: 'reads no pictures' })
  })
  it('go by the health where the family is not known', () => {
    const health = { model_loaded: true, supports_image_generation: true, supports_video_generation: false }
    expect(obstacleOf('video', null, health)).toEqual({ why: 'noVideo' })
    expect(obstacleOf('edit', null, health)).toBeNull()
    expect(obstacleOf('video', null, { ...health, model_loaded: false })).toBeNull()
    expect(obstacleOf('video', null, null)).toBeNull()
  })
  it('ask for their pictures', () => {
    expect([
      inputsOf('text', null),
      inputsOf('image', null),
      inputsOf('inpaint', null),
      inputsOf('edit', null),
    ]).toEqual([[], ['init'], ['init', 'mask'], ['references']])
    expect(inputsOf('video', null)).toEqual(['init', 'end'])
    expect(inputsOf('video', preset({ ignores: [{ field: 'end_image_base64', reason: '' }] }))).toEqual(['init'])
  })
  it('show what would be sent besides', () => {
    const none: DraftInputs = { references: [] }
    const some: DraftInputs = { control: { from: 'output', path: 'a' }, references: [{ from: 'output', path: 'a' }] }
    expect(extraInputsOf('text', preset({}), none)).toEqual([])
    expect(extraInputsOf('text', preset({}), some)).toEqual(['control', 'references'])
    expect(extraInputsOf('edit', preset({ takes_controlnet: true, takes_reference_images: true }), none)).toEqual([
      'control',
    ])
    expect(extraInputsOf('video', null, some)).toEqual(['control'])
    const held: DraftInputs = { references: [], faces: some.references, frames: some.references }
    expect(extraInputsOf('image', preset({}), held)).toEqual(['faces'])
    expect(extraInputsOf('video', null, held)).toEqual(['frames'])
  })
  it('show faces and control frames where the model makes something of them', () => {
    const none: DraftInputs = { references: [] }
    const ignoring = (...fields: string[]): Preset =>
      preset({ takes_photo_maker: true, ignores: fields.map((field) => ({ field, reason: '' })) })
    expect(extraInputsOf('text', ignoring(), none)).toEqual(['faces'])
    expect(extraInputsOf('text', ignoring('pm_id_images'), none)).toEqual([])
    expect(extraInputsOf('video', ignoring(), none)).toEqual(['control', 'frames'])
    expect(extraInputsOf('video', ignoring('control_frames', 'control_image_base64'), none)).toEqual([])
  })
  it('tell which picture is missing', () => {
    const draft = makeDraft('a', 'inpaint')
    expect(missingPicture(draft)).toBe('init_image_base64')
    draft.mode = 'edit'
    expect(missingPicture(draft)).toBe('ref_images')
    draft.mode = 'text'
    expect(missingPicture(draft)).toBeNull()
  })
})

describe('requests', () => {
  it('are sketched with a dot in the place of a file', async () => {
    const draft = makeDraft('a', 'image')
    draft.values = { prompt: 'x', steps: 2 }
    draft.inputs.init = { from: 'file', blob: new Blob(['x']), name: 'x.png' }
    expect(await sketchRequest(draft, null)).toEqual({
      kind: 'img2img',
      body: { prompt: 'x', steps: 2, init_image_base64: DOT },
    })
  })
  it('are kept as presets, with the prompt or without', () => {
    const draft = makeDraft('a')
    draft.values = { prompt: 'x', negative_prompt: 'y', steps: 2 }
    expect(settingsOf(draft, false)).toEqual({ steps: 2 })
    expect(settingsOf(draft, true)).toEqual({ prompt: 'x', negative_prompt: 'y', steps: 2 })
    expect(settingsOf(makeDraft('b'), true)).toEqual({})
    expect(applySettings({ prompt: 'x', steps: 9, eta: 1 }, { steps: 2 })).toEqual({ prompt: 'x', steps: 2 })
    expect(applySettings({ prompt: 'x' }, { prompt: 'z' })).toEqual({ prompt: 'z' })
    draft.values = { model_name: 'm', steps: 2 }
    expect(settingsOf(draft, true)).toEqual({ steps: 2 })
    expect(applySettings({ model_name: 'm', steps: 9 }, { steps: 2 })).toEqual({ model_name: 'm', steps: 2 })
  })
  it('are told by their fields', () => {
    expect(['cache_options.threshold', 'skip_layers[0]', 'width'].map(fieldOfPath)).toEqual([
      'cache_options',
      'skip_layers',
      'width',
    ])
  })
})

describe('caches', () => {
  it('have knobs of their own', () => {
    expect(knobsOf('easycache').map((one) => one.name)).toEqual(['threshold', 'start', 'end'])
    expect([knobsOf('disabled'), knobsOf(undefined)]).toEqual([[], []])
    expect(nameKnob('fn_compute_blocks')).toBe('Fn compute blocks')
  })
  it('leave to the library what is empty', () => {
    expect(turnKnob(undefined, 'start', 0.2)).toEqual({ start: 0.2 })
    expect(turnKnob({ start: 0.2, end: 1 }, 'start', '')).toEqual({ end: 1 })
    expect(turnKnob({ start: 0.2 }, 'start', undefined)).toBeUndefined()
  })
})
