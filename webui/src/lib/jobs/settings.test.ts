import { describe, expect, it } from 'vitest'
import type { Job } from '../events/apply'
import { pickPart, readReference, settingsOf } from './settings'
import { writeCurl, writeParameters } from './texts'

const FIELDS = new Set(['prompt', 'negative_prompt', 'steps', 'seed', 'width', 'height', 'cache_options', 'title'])
const DEFAULTS: Record<string, unknown> = { steps: 12, width: 64, negative_prompt: '', cache_options: undefined }
const settings = (params: object, type: Job['type'] = 'txt2img'): ReturnType<typeof settingsOf> =>
  settingsOf({ type, params: params as never }, FIELDS, (field) => DEFAULTS[field])

describe('a draft of a job', () => {
  it('keeps what differs from the defaults', () => {
    expect(
      settings({ prompt: 'a', steps: 12, width: 128, seed: 7, title: 't', cache_options: { a: null }, odd: 1 }),
    ).toEqual({ mode: 'text', values: { prompt: 'a', width: 128, seed: 7 }, inputs: { references: [] } })
  })
  it('keeps its model, and all values with it, where that is not the chosen one', () => {
    const params = { prompt: 'a', steps: 12, negative_prompt: '' } as never
    const found = settingsOf({ type: 'txt2img', params }, FIELDS, (field) => DEFAULTS[field], 'other.gguf')
    expect(found?.values).toEqual({ prompt: 'a', steps: 12, model_name: 'other.gguf' })
  })
  it('finds the mode by the pictures', () => {
    expect(settings({ init_image_base64: 'job:1/init_image' }, 'img2img')).toMatchObject({
      mode: 'image',
      values: { prompt: '' },
      inputs: { init: { from: 'input', jobId: '1', role: 'init_image' } },
    })
    expect(settings({ init_image_base64: 'job:1/a', mask_image_base64: 'job:1/b' }, 'img2img')?.mode).toBe('inpaint')
    expect(settings({ ref_images: ['job:1/ref_images.0', 'odd'] })).toMatchObject({
      mode: 'edit',
      inputs: { references: [{ role: 'ref_images.0' }] },
    })
    expect(settings({}, 'txt2vid')?.mode).toBe('video')
    expect(settings({ pm_id_images: ['job:1/pm_id_images.0', 'job:1/pm_id_images.1'] })).toMatchObject({
      mode: 'text',
      inputs: { faces: [{ role: 'pm_id_images.0' }, { role: 'pm_id_images.1' }] },
    })
    expect(settings({ control_frames: ['job:1/control_frames.0'] }, 'txt2vid')?.inputs.frames).toHaveLength(1)
    expect(settings({}, 'upscale')).toBeNull()
  })
  it('reads references alone', () => {
    expect(readReference('abc')).toBeNull()
    expect(readReference(4)).toBeNull()
  })
  it('gives chosen parts', () => {
    const values = { prompt: 'a', seed: 1, width: 2, height: 3, steps: 4 }
    expect(pickPart(values, 'all')).toEqual(values)
    expect(pickPart(values, 'size')).toEqual({ width: 2, height: 3 })
    expect(pickPart(values, 'seed')).toEqual({ seed: 1 })
    expect(pickPart(values, 'prompt')).toEqual({ prompt: 'a' })
  })
})

describe('texts to take along', () => {
  it('are A1111’s lines', () => {
    const params = {
      prompt: 'a cat',
      negative_prompt: 'dog',
      steps: 9,
      sampler: 'euler',
      seed: 1,
      width: 64,
      height: 48,
    }
    expect(writeParameters({ ...params, strength: 0.5, clip_skip: 2 }, { model: 'x.gguf', seed: 3 })).toBe(
      'a cat\nNegative prompt: dog\nSteps: 9, Sampler: euler, Seed: 3, Size: 64x48, Model: x, Denoising strength: 0.5, Clip skip: 2',
    )
    expect(writeParameters({})).toBe('\n')
  })
  it('are a call that a shell reads as it is', () => {
    expect(writeCurl('http://h/txt2img', { prompt: "it's" })).toBe(
      `curl 'http://h/txt2img' -H 'Content-Type: application/json' -d '{"prompt":"it'\\''s"}'`,
    )
  })
})
