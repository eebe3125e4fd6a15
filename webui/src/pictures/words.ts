/** Says in words how far a job is. */
import { formatBytes, formatDuration } from '../lib/format'
import type { Job } from '../lib/events/apply'
import { t } from '../lib/i18n'
import { countDown, countPictures, pictureOf } from '../lib/jobs/progress'
import type { Values } from '../lib/drafts/draft'
import { server } from '../state/server.svelte'

const STEPPED = new Set(['sampling', 'hires'])

/** What a running job does just now. */
export function phaseOf(job: Job): string {
  const { phase } = job.progress
  if (phase === 'loading' && typeof server.loading?.progress === 'number')
    return t.pictures.loadingShare(server.loading.progress)
  return t.pictures.phases[phase] ?? t.pictures.phases.sampling
}

/** The heading of a running job: which picture, or what is done. */
export function headingOf(job: Job): string {
  const several = pictureOf(job.progress)
  return several ? t.pictures.pictureOf(several.picture, several.of) : phaseOf(job)
}

export function timeLeft(job: Job, now: number): string {
  const seconds = countDown(job.progress, server.heard[job.job_id], now)
  // Whole seconds: tenths of what is guessed would flicker.
  return seconds === null ? '' : t.queue.left(formatDuration(seconds < 9.5 ? Math.round(seconds) : seconds))
}

/** How long a step takes; empty while nobody knows, or no steps are made. */
export function paceOf(job: Job): string {
  const { phase, step, seconds_per_step } = job.progress
  return STEPPED.has(phase) && step > 0 && seconds_per_step ? t.pictures.aStep(formatDuration(seconds_per_step)) : ''
}

/** The step, or bytes and speed of a file, and the time left. */
export function detailsOf(job: Job, now: number): string[] {
  const { progress } = job
  const parts: string[] = []
  if (progress.total_bytes !== undefined || progress.downloaded_bytes !== undefined) {
    const done = formatBytes(progress.downloaded_bytes ?? 0)
    parts.push(progress.total_bytes ? t.queue.ofBytes(done, formatBytes(progress.total_bytes)) : done)
    if (progress.bytes_per_second) parts.push(t.queue.perSecond(formatBytes(progress.bytes_per_second)))
  } else if (STEPPED.has(progress.phase) && progress.step > 0) {
    parts.push(t.pictures.step(progress.step, progress.total_steps))
  } else if (pictureOf(progress)) parts.push(phaseOf(job))
  const left = timeLeft(job, now)
  if (left) parts.push(left)
  return parts
}

/** What a job that waits is going to be. */
export function waitingOf(job: Job): string[] {
  const axes = (job.group as { axes?: { values: unknown[] }[] } | undefined)?.axes
  const count = countPictures(job)
  return [
    job.position === 1 || !job.position ? t.pictures.isNext : t.pictures.waitsAt(job.position),
    axes ? t.queue.grid(axes.map((axis) => axis.values.length).join(' × ')) : '',
    count > 1 ? t.queue.pictures(count) : '',
  ].filter(Boolean)
}

/** The size, seed and model of a job, as far as they are known. */
export function factsOf(job: Job): string[] {
  const { width, height } = job.params as Values
  return [
    typeof width === 'number' && typeof height === 'number' ? t.pictures.size(width, height) : '',
    job.model ?? '',
  ].filter(Boolean)
}
