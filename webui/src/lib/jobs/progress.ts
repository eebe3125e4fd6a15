/** How far a job is, in numbers: for bars, for the words beside them, and for what a screen reader is told. */
import type { Job } from '../events/apply'

type Progress = Job['progress']

const PICTURE_KINDS = new Set(['txt2img', 'img2img', 'txt2vid', 'upscale'])

/** Whether a job makes pictures or videos, and not files of models. */
export function makesPictures(job: Pick<Job, 'type'>): boolean {
  return PICTURE_KINDS.has(job.type)
}

/** Seconds until a job is done, counted down from when its newest progress came; null: nobody knows. */
export function countDown(progress: Progress, heardAt: number | undefined, now: number): number | null {
  const told = progress.eta_seconds
  if (typeof told !== 'number') return null
  const passed = heardAt === undefined ? 0 : Math.max(0, now - heardAt) / 1000
  return Math.max(0, told - passed)
}

/** How far a job is, 0 to 1; null where it goes on and nobody counts. */
export function shareOf(job: Pick<Job, 'status' | 'progress'>, loading: number | null = null): number | null {
  const { progress } = job
  if (job.status === 'completed') return 1
  if (progress.phase === 'loading') return loading
  if (progress.total_bytes && progress.downloaded_bytes !== undefined)
    return Math.min(1, progress.downloaded_bytes / progress.total_bytes)
  if (progress.phase === 'conditioning' && progress.current_all_steps === 0) return null
  return progress.all_steps > 0 || progress.percentage > 0 ? progress.percentage / 100 : null
}

/** Which picture of how many is drawn, from 1; null for a job of one picture. */
export function pictureOf(progress: Progress): { picture: number; of: number } | null {
  if (progress.total_images < 2) return null
  return { picture: Math.min(progress.current_image + 1, progress.total_images), of: progress.total_images }
}

const MILESTONES = [75, 50, 25] as const

/** The quarter that was passed between two looks at a job, and is worth telling; null: none. */
export function passedQuarter(before: number, after: number): (typeof MILESTONES)[number] | null {
  return MILESTONES.find((one) => before < one && after >= one && after < 100) ?? null
}

/** The size that a job's pictures will have, as far as its parameters tell it. */
export function sizeOf(job: Pick<Job, 'type' | 'params'>): { width: number; height: number } | null {
  const { width, height, hires, hires_width, hires_height } = job.params as Record<string, unknown>
  if (job.type === 'upscale' || typeof width !== 'number' || typeof height !== 'number') return null
  if (width <= 0 || height <= 0) return null
  if (hires === true && Number(hires_width) > 0 && Number(hires_height) > 0)
    return { width: Number(hires_width), height: Number(hires_height) }
  return { width, height }
}

/** What a job of files is about: the name of the model that it reads or writes. */
export function fileOf(job: Pick<Job, 'params'>): string {
  const { model_name, name: file, output_path, input_path } = job.params as Record<string, unknown>
  const name = [model_name, file, output_path, input_path].find((one) => typeof one === 'string' && one !== '')
  return typeof name === 'string' ? name : ''
}

/** How many pictures a job is asked for. */
export function countPictures(job: Pick<Job, 'params'>): number {
  const count = (job.params as Record<string, unknown>).batch_count
  return typeof count === 'number' && count > 0 ? count : 1
}
