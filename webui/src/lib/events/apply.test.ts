import { beforeEach, describe, expect, it } from 'vitest'
import { applyEvent, isEnded, type Job, type View } from './apply'

let view: View
const job = (id: string, status: Job['status'] = 'pending'): Job =>
  ({
    job_id: id,
    type: 'txt2img',
    status,
    progress: { step: 0, total_steps: 0, percentage: 0 },
    outputs: [],
    params: {},
    created_at: '',
  }) as unknown as Job
const tell = (event: string, data: Record<string, unknown>) => applyEvent(view, { event, data, timestamp: '' }, 1000)

beforeEach(() => {
  view = {
    health: { model_name: 'a.gguf', model_loading: false } as View['health'],
    counts: {
      pending_count: 1,
      processing_count: 0,
      completed_count: 0,
      failed_count: 0,
      cancelled_count: 0,
      total_count: 1,
      paused: false,
    } as View['counts'],
    jobs: { one: job('one') },
    previews: {},
    heard: {},
    loading: null,
  }
})

describe('applyEvent', () => {
  it('asks for a job that it does not know', () => {
    expect(tell('job_added', { job_id: 'two' })).toEqual([{ what: 'job', id: 'two' }])
    expect(tell('job_added', { job_id: 'one' })).toEqual([])
    expect(tell('job_progress', { job_id: 'two' })).toEqual([{ what: 'job', id: 'two' }])
  })

  it('keeps progress and the newest preview of a job', () => {
    tell('job_progress', { job_id: 'one', step: 2, percentage: 40, eta_seconds: 3 })
    tell('job_preview', { job_id: 'one', image: 'data:x', step: 2, width: 64, height: 32 })
    expect(view.jobs.one!.progress).toMatchObject({ step: 2, percentage: 40, eta_seconds: 3 })
    expect(view.heard.one).toBe(1000)
    expect(view.previews.one).toEqual({ image: 'data:x', step: 2, width: 64, height: 32 })
  })

  it('ends a job: no preview, its pictures, its counts', () => {
    tell('job_preview', { job_id: 'one', image: 'data:x', step: 2, width: 64, height: 32 })
    tell('job_status_changed', { job_id: 'one', status: 'processing', previous_status: 'pending', started_at: 's' })
    const wants = tell('job_status_changed', {
      job_id: 'one',
      status: 'completed',
      previous_status: 'processing',
      outputs: ['one/a.png'],
      completed_at: 'c',
    })
    expect(wants).toEqual([
      { what: 'ended', id: 'one', status: 'completed', error: null },
      { what: 'job', id: 'one' },
      { what: 'pictures', jobId: 'one' },
    ])
    expect(view.jobs.one).toMatchObject({
      status: 'completed',
      outputs: ['one/a.png'],
      started_at: 's',
      completed_at: 'c',
    })
    expect(view.previews).toEqual({})
    expect(view.counts).toMatchObject({ pending_count: 0, processing_count: 0, completed_count: 1 })
  })

  it('tells why a job failed', () => {
    expect(
      tell('job_status_changed', {
        job_id: 'one',
        status: 'failed',
        previous_status: 'processing',
        error: 'out of memory',
      }),
    ).toContainEqual({ what: 'ended', id: 'one', status: 'failed', error: 'out of memory' })
    expect(view.jobs.one!.error).toBe('out of memory')
    expect(tell('job_cancelled', { job_id: 'one' })).toEqual([])
    expect(isEnded('cancelled')).toBe(true)
  })

  it('takes a heartbeat, and asks for the settings of another model', () => {
    expect(tell('server_status', { model_name: 'a.gguf', queue: { pending_count: 5 } })).toEqual([])
    // What a heartbeat leaves out stays as it was.
    expect(view.counts).toMatchObject({ pending_count: 5, total_count: 1, paused: false })
    expect(tell('server_status', { model_name: 'b.gguf' })).toEqual([{ what: 'model' }])
  })

  it('shows how far a model is loaded', () => {
    tell('model_loading_progress', { model_name: 'b.gguf', progress: 0.4 })
    expect(view.loading).toEqual({ name: 'b.gguf', progress: 0.4 })
    tell('model_loading_progress', { model_name: 'b.gguf', progress: null })
    expect(view.loading).toEqual({ name: 'b.gguf', progress: null })
    for (const event of [
      'model_loaded',
      'model_load_failed',
      'model_unloaded',
      'engine_restarted',
      'upscaler_loaded',
      'upscaler_unloaded',
    ])
      expect(tell(event, {})).toEqual([{ what: 'model' }])
    expect(view.loading).toBeNull()
  })

  it('knows the rest, and leaves alone what a newer server tells', () => {
    tell('queue_paused', {})
    expect(view.counts!.paused).toBe(true)
    tell('queue_resumed', {})
    expect(view.counts!.paused).toBe(false)
    expect(tell('queue_reordered', { job_id: 'one', position: 1 })).toEqual([{ what: 'queue' }])
    expect(tell('gallery_changed', {})).toEqual([{ what: 'gallery' }])
    expect(tell('models_changed', {})).toEqual([{ what: 'models' }])
    expect(tell('something_new', {})).toEqual([])
    view.counts = null
    expect(tell('queue_paused', {})).toEqual([])
    expect(tell('job_status_changed', { job_id: 'x', status: 'processing', previous_status: 'pending' })).toEqual([
      { what: 'job', id: 'x' },
    ])
  })
})
