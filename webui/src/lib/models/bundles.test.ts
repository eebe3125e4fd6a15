import { describe, expect, it } from 'vitest'
import type { Job } from '../events/apply'
import { loadBodyOf, memoryClass, nameOfFile, orderBundles, progressOf, type Bundle, type BundleSize } from './bundles'

const size = (memory_gb: number, load_options = {}, files: BundleSize['files'] = []): BundleSize => ({
  memory_gb,
  note: '',
  checked: false,
  load_options,
  files,
})
const bundle = (id: string, ...sizes: BundleSize[]): Bundle => ({
  id,
  display_name: id,
  description: '',
  preset: id,
  sizes,
})
const GIB = 2 ** 30
const model = { model_type: 'diffusion' as const, repo_id: 'a/b', filename: 'dir/m.gguf', component: null }
const part = {
  model_type: 'vae' as const,
  repo_id: 'a/v',
  filename: 'ae.safetensors',
  name: 'my_ae.safetensors',
  component: 'vae',
}
const names = (diffusion_models: string[], vae: string[]) =>
  ({ diffusion_models, vae }) as unknown as Parameters<typeof progressOf>[1]
let at = 0
const job = (given: Record<string, unknown>, status: string, progress: Record<string, unknown> = {}, more = {}): Job =>
  ({
    job_id: `job${++at}`,
    type: 'model_download',
    status,
    params: given,
    progress,
    created_at: String(1000 + at),
    ...more,
  }) as unknown as Job
const fetching = (file: typeof model | typeof part, status: string, progress = {}, more = {}): Job =>
  job({ repo_id: file.repo_id, filename: file.filename }, status, progress, more)

describe('the order of bundles', () => {
  const list = [
    bundle('big', size(24)),
    bundle('none'),
    bundle('offloaded', size(8, { offload_to_cpu: true }), size(4)),
    bundle('three', size(8, {}, [model, part]), size(12, {}, [model, part])),
    bundle('small', size(4, {}, [model])),
  ]
  it('begins with what fits this GPU without tricks', () => {
    const offers = orderBundles(list, { bytes: 8e9, isGpu: true })
    expect(offers.map((one) => [one.bundle.id, one.size.memory_gb, one.verdict])).toEqual([
      ['three', 8, 'fits'],
      ['small', 4, 'fits'],
      ['offloaded', 8, 'tight'],
      ['big', 24, 'no'],
    ])
  })
  it('begins with the smallest where the CPU draws', () => {
    const offers = orderBundles(list.slice(3), { bytes: 16 * GIB, isGpu: false })
    expect(offers.map((one) => one.bundle.id)).toEqual(['small', 'three'])
    expect(memoryClass({ bytes: 16 * GIB, isGpu: false })).toBe(12)
  })
  it('goes by 8 GB where nothing is known', () => {
    expect(orderBundles(list, null).at(-1)).toMatchObject({ bundle: { id: 'big' }, verdict: 'no' })
  })
})

describe('the progress of a bundle', () => {
  const both = size(8, { vae_tiling: true }, [model, part])
  it('adds up its files', () => {
    const jobs = [
      fetching(model, 'failed'),
      fetching(model, 'processing', { downloaded_bytes: 50, total_bytes: 100, bytes_per_second: 5 }),
      fetching(part, 'pending', {}, {}),
    ]
    const seen = progressOf(both, names([], []), jobs)
    expect(seen.files.map((one) => one.state)).toEqual(['running', 'waiting'])
    expect(seen).toMatchObject({ isActive: true, isDone: false, share: null, doneBytes: 50, bytesPerSecond: 5 })
    jobs[2]!.params.size_bytes = 100
    expect(progressOf(both, names([], []), jobs)).toMatchObject({ share: 0.25, totalBytes: 200, etaSeconds: 30 })
  })
  it('tells what is checked, has failed, or stands still', () => {
    const done = fetching(model, 'completed', { downloaded_bytes: 5, total_bytes: 5 })
    expect(progressOf(both, names([], []), [done]).files.map((one) => one.state)).toEqual(['checking', 'stopped'])
    const check = job({ download_job_id: done.job_id }, 'failed', {}, { type: 'model_hash', error: 'Wrong sum' })
    expect(progressOf(both, names([], []), [done, check])).toMatchObject({ isActive: false, error: 'Wrong sum' })
    expect(progressOf(both, null, [fetching(part, 'failed', {}, { error: 'Cut' })]).error).toBe('Cut')
    expect(progressOf(both, null, [fetching(part, 'cancelled')]).files[1]!.state).toBe('stopped')
  })
  it('is done when all is listed; then it can be loaded', () => {
    const seen = progressOf(both, names(['x/m.gguf'], ['my_ae.safetensors']), [])
    expect(seen.isDone).toBe(true)
    expect(loadBodyOf(both, seen.files)).toEqual({
      model_name: 'x/m.gguf',
      model_type: 'diffusion',
      vae: 'my_ae.safetensors',
      options: { vae_tiling: true },
    })
    expect(loadBodyOf(both, progressOf(both, names(['m.gguf'], []), []).files)).toBeNull()
    expect(nameOfFile(model)).toBe('m.gguf')
  })
})
