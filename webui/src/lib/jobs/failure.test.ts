import { describe, expect, it } from 'vitest'
import type { Job } from '../events/apply'
import { canEdit, canRepeat, remediesOf, takeLess } from './failure'

const failed = (
  error_code: string,
  params: object = {},
  type: Job['type'] = 'txt2img',
  model: string | null = 'm',
): Job => ({ type, params, model, error_code }) as Job
const kinds = (job: Job): string[] => remediesOf(job).map((one) => one.kind)

describe('ways out of a failure', () => {
  it('takes less where memory was refused', () => {
    const job = failed('out_of_memory', { width: 4096, height: 2048, batch_count: 2 })
    expect(kinds(job)).toEqual(['size', 'tiling', 'one', 'edit'])
    expect(remediesOf(job, 64)[0]).toEqual({
      kind: 'size',
      width: 2048,
      height: 1024,
      overrides: { width: 2048, height: 1024 },
    })
    expect(kinds(failed('out_of_memory', { width: 64, height: 64, vae_tiling: true }))).toEqual(['edit'])
  })
  it('keeps the steps of the family', () => {
    expect(takeLess(failed('', { width: 1000, height: 1000 }), 64)[0]).toMatchObject({ width: 512, height: 512 })
  })
  it('makes the tiles of an upscaling smaller, as far as that helps', () => {
    expect(remediesOf(failed('out_of_memory', { tile_size: 128 }, 'upscale'))).toEqual([
      { kind: 'tile', size: 64, overrides: { tile_size: 64 } },
    ])
    expect(remediesOf(failed('out_of_memory', { tile_size: 32 }, 'upscale'))).toEqual([])
    expect(takeLess(failed('', {}, 'upscale'))).toHaveLength(1)
  })
  it('offers the same once more after a crash, then something smaller', () => {
    expect(kinds(failed('engine_crashed', { width: 512, height: 512 }))).toEqual(['again', 'size', 'edit'])
    expect(kinds(failed('engine_crashed', {}, 'convert'))).toEqual(['again'])
  })
  it('leads to models where those are the cause', () => {
    expect(remediesOf(failed('load_failed'))[0]).toEqual({ kind: 'load', model: 'm' })
    expect(kinds(failed('load_failed', {}, 'txt2img', null))).toEqual(['models', 'again'])
    expect(kinds(failed('no_model_loaded'))).toEqual(['models', 'again'])
    expect(kinds(failed('model_not_found', {}, 'model_hash'))).toEqual(['models'])
  })
  it('draws another seed where a picture was blank', () => {
    expect(kinds(failed('picture_is_blank'))).toEqual(['seed', 'edit'])
    expect(kinds(failed('picture_is_blank', {}, 'upscale'))).toEqual(['again'])
  })
  it('offers to try again, and to edit, otherwise', () => {
    expect(kinds(failed('generation_failed'))).toEqual(['again', 'edit'])
    expect(kinds(failed('interrupted', {}, 'model_download'))).toEqual(['again'])
    expect(kinds(failed('invalid_request', {}, 'model_hash'))).toEqual([])
    expect(canRepeat({ type: 'model_hash' })).toBe(false)
    expect(canEdit({ type: 'upscale' })).toBe(false)
  })
})
