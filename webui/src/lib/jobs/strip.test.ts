import { describe, expect, it } from 'vitest'
import type { Job, Picture } from '../events/apply'
import { chooseShown, joinKnown, jobsOfStrip, placesOf } from './strip'

const picture = (id: number, at: number, job_id = 'a', index = 0): Picture =>
  ({ id, job_id, index, created_at: `2026-01-01T00:00:${String(at).padStart(2, '0')}Z` }) as Picture
const job = (job_id: string, status: Job['status'], more: object = {}): Job =>
  ({
    job_id,
    status,
    type: 'txt2img',
    params: {},
    progress: { current_image: 0, total_images: 1 },
    ...more,
  }) as unknown as Job

describe('what is known of pictures', () => {
  it('keeps older ones, takes new ones, and forgets what was deleted', () => {
    const known = [picture(4, 9), picture(3, 8), picture(1, 1)]
    expect(joinKnown(known, [picture(5, 10), picture(4, 9), picture(2, 5)]).map((one) => one.id)).toEqual([5, 4, 2, 1])
    expect(joinKnown(known, [])).toEqual([])
  })
  it('keeps the order of a job', () => {
    expect(joinKnown([], [picture(2, 1, 'a', 1), picture(1, 1, 'a', 0), picture(9, 1, 'b')]).map((o) => o.id)).toEqual([
      9, 1, 2,
    ])
  })
})

describe('the strip', () => {
  const jobs = {
    a: job('a', 'completed', { completed_at: '1' }),
    b: job('b', 'failed', { completed_at: '2' }),
    x: job('x', 'completed', { completed_at: '3' }),
    c: job('c', 'processing', { progress: { current_image: 1, total_images: 4 } }),
    d: job('d', 'pending', { position: 2, params: { batch_count: 4 } }),
    e: job('e', 'pending', { position: 1 }),
    f: job('f', 'processing', { type: 'model_hash' }),
  }
  it('begins with the draft’s jobs and ends with what waits', () => {
    expect(jobsOfStrip({ one: ['d', 'a'], two: ['x', 'c'] }, 'one', jobs)).toEqual(['a', 'b', 'c', 'e', 'd'])
    expect(jobsOfStrip({}, 'one', jobs)).toEqual(['a', 'b', 'x', 'c', 'e', 'd'])
  })
  it('has a place for each picture', () => {
    const places = placesOf(['a', 'gone', 'b', 'c', 'e', 'd'], jobs, [picture(2, 1, 'a', 1), picture(1, 1, 'a', 0)])
    expect(places.map((one) => one.key)).toEqual(['p1', 'p2', 'fb', 'rc', 'wc', 'we', 'wd'])
    expect(places.map((one) => (one.kind === 'waiting' ? one.count : 0))).toEqual([0, 0, 0, 0, 2, 1, 4])
    expect(placesOf(['a'], jobs, [picture(1, 1)], 0)).toHaveLength(1)
  })
  it('shows what was chosen, else what is drawn, else the newest', () => {
    const places = placesOf(['a', 'b'], jobs, [picture(1, 1)])
    expect(chooseShown(picture(7, 1), [jobs.c], places, [])).toMatchObject({ kind: 'picture', picture: { id: 7 } })
    expect(chooseShown(null, [jobs.f, jobs.c], places, [])).toMatchObject({ kind: 'running', job: jobs.c })
    expect(chooseShown(null, [], places, [])).toMatchObject({ kind: 'failed', job: jobs.b })
    expect(chooseShown(null, [], places.slice(0, 1), [])).toMatchObject({ picture: { id: 1 } })
    expect(chooseShown(null, [], [], [picture(3, 1)])).toMatchObject({ picture: { id: 3 } })
    expect(chooseShown(null, [], [], [])).toEqual({ kind: 'empty' })
  })
})
