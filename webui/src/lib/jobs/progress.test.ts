import { describe, expect, it } from 'vitest'
import type { Job } from '../events/apply'
import { countDown, countPictures, fileOf, makesPictures, passedQuarter, pictureOf, shareOf, sizeOf } from './progress'

const progress = (more: Partial<Job['progress']> = {}): Job['progress'] => ({
  step: 0,
  total_steps: 4,
  current_image: 0,
  total_images: 1,
  all_steps: 4,
  current_all_steps: 0,
  percentage: 0,
  phase: 'sampling',
  ...more,
})
const job = (more: Partial<Job['progress']> = {}, status: Job['status'] = 'processing'): Job =>
  ({ status, progress: progress(more) }) as Job

describe('the time that is left', () => {
  it('counts down between two events and never below zero', () => {
    expect(countDown(progress({ eta_seconds: 12 }), 1_000, 4_000)).toBe(9)
    expect(countDown(progress({ eta_seconds: 2 }), 1_000, 9_000)).toBe(0)
    expect(countDown(progress({ eta_seconds: 2 }), undefined, 9_000)).toBe(2)
    expect(countDown(progress({ eta_seconds: 2 }), 9_000, 1_000)).toBe(2)
  })
  it('is unknown where nobody knows', () => {
    expect(countDown(progress(), 0, 0)).toBeNull()
    expect(countDown(progress({ eta_seconds: null as never }), 0, 0)).toBeNull()
  })
})

describe('how far a job is', () => {
  it('goes by steps, bytes or what was loaded', () => {
    expect(shareOf(job({ percentage: 50 }))).toBe(0.5)
    expect(shareOf(job({ downloaded_bytes: 30, total_bytes: 120 }))).toBe(0.25)
    expect(shareOf(job({ phase: 'loading' }), 0.4)).toBe(0.4)
    expect(shareOf(job({ phase: 'loading' }))).toBeNull()
    expect(shareOf(job({ phase: 'conditioning' }))).toBeNull()
    expect(shareOf(job({ all_steps: 0 }))).toBeNull()
    expect(shareOf(job({}, 'completed'))).toBe(1)
  })
  it('tells the picture of several', () => {
    expect(pictureOf(progress())).toBeNull()
    expect(pictureOf(progress({ total_images: 4, current_image: 2 }))).toEqual({ picture: 3, of: 4 })
    expect(pictureOf(progress({ total_images: 4, current_image: 4 }))).toEqual({ picture: 4, of: 4 })
  })
  it('tells quarters once', () => {
    expect(passedQuarter(20, 30)).toBe(25)
    expect(passedQuarter(0, 80)).toBe(75)
    expect(passedQuarter(30, 40)).toBeNull()
    expect(passedQuarter(80, 100)).toBeNull()
  })
})

describe('what a job makes', () => {
  it('knows pictures from files', () => {
    expect(makesPictures({ type: 'upscale' })).toBe(true)
    expect(makesPictures({ type: 'model_hash' })).toBe(false)
  })
  it('reserves the final size', () => {
    const of = (params: object, type: Job['type'] = 'txt2img'): unknown => sizeOf({ type, params: params as never })
    expect(of({ width: 64, height: 48 })).toEqual({ width: 64, height: 48 })
    expect(of({ width: 64, height: 48, hires: true, hires_width: 128, hires_height: 64 })).toEqual({
      width: 128,
      height: 64,
    })
    expect(of({ width: 64, height: 48, hires: true, hires_width: 0, hires_height: 0 })).toEqual({
      width: 64,
      height: 48,
    })
    expect(of({ width: 64 })).toBeNull()
    expect(of({ width: 0, height: 8 })).toBeNull()
    expect(of({ width: 64, height: 48 }, 'upscale')).toBeNull()
  })
  it('names files and counts pictures', () => {
    expect(fileOf({ params: { name: 'a.gguf' } })).toBe('a.gguf')
    expect(fileOf({ params: { input_path: 'in', output_path: 'out' } })).toBe('out')
    expect(fileOf({ params: {} })).toBe('')
    expect(countPictures({ params: { batch_count: 3 } })).toBe(3)
    expect(countPictures({ params: {} })).toBe(1)
  })
})
