/** Which pictures and places stand in the strip below the stage, and which of them is shown. */
import type { Job, Picture } from '../events/apply'
import { isEnded } from '../events/apply'
import { countPictures, makesPictures } from './progress'

const MOST_KNOWN = 200

/** Newer first; pictures of one moment in the order of their job. */
function compareAge(a: Picture, b: Picture): number {
  return b.created_at.localeCompare(a.created_at) || (a.job_id === b.job_id ? a.index - b.index : b.id - a.id)
}

/**
 * Joins what is known with the newest pictures, as they are now: what is not among those any more, and is as new, was
 * deleted.
 */
export function joinKnown(known: readonly Picture[], latest: readonly Picture[]): Picture[] {
  const oldest = latest.at(-1)?.created_at ?? ''
  const ids = new Set(latest.map((one) => one.id))
  const kept = known.filter((one) => !ids.has(one.id) && one.created_at < oldest)
  return [...latest, ...kept].sort(compareAge).slice(0, MOST_KNOWN)
}

export type Place =
  | { kind: 'picture'; key: string; picture: Picture }
  /** One that is drawn now; `step` of `steps`, both 0 before the first. */
  | { kind: 'running'; key: string; job: Job }
  /** So many pictures of a job that are not begun yet. */
  | { kind: 'waiting'; key: string; job: Job; count: number }
  | { kind: 'failed'; key: string; job: Job }

/**
 * The jobs of the strip, oldest first: those of this visit that draft `draftId` has started, or that came from
 * elsewhere, and whatever makes pictures now.
 */
export function jobsOfStrip(started: Record<string, string[]>, draftId: string, jobs: Record<string, Job>): string[] {
  const ofOthers = new Set(Object.entries(started).flatMap(([id, ids]) => (id === draftId ? [] : ids)))
  const own = Object.values(jobs).filter(makesPictures)
  const ended = own
    .filter((job) => isEnded(job.status) && !ofOthers.has(job.job_id))
    .sort((a, b) => (a.completed_at ?? '').localeCompare(b.completed_at ?? ''))
  const active = own
    .filter((job) => !isEnded(job.status))
    .sort(
      (a, b) =>
        Number(a.status === 'pending') - Number(b.status === 'pending') || (a.position ?? 0) - (b.position ?? 0),
    )
  return [...ended, ...active].map((job) => job.job_id)
}

/** The places of the strip, in the order in which they are drawn; at most `most`, the newest. */
export function placesOf(
  ids: readonly string[],
  jobs: Record<string, Job>,
  pictures: readonly Picture[],
  most = 24,
): Place[] {
  const byJob = new Map<string, Picture[]>()
  for (const one of pictures)
    if (one.job_id)
      byJob.set(
        one.job_id,
        [...(byJob.get(one.job_id) ?? []), one].sort((a, b) => a.index - b.index),
      )
  const places: Place[] = []
  for (const id of ids) {
    const job = jobs[id]
    for (const picture of byJob.get(id) ?? []) places.push({ kind: 'picture', key: `p${picture.id}`, picture })
    if (!job) continue
    if (job.status === 'failed') places.push({ kind: 'failed', key: `f${id}`, job })
    else if (job.status === 'processing') {
      places.push({ kind: 'running', key: `r${id}`, job })
      const left = job.progress.total_images - job.progress.current_image - 1
      if (left > 0) places.push({ kind: 'waiting', key: `w${id}`, job, count: left })
    } else if (job.status === 'pending') {
      places.push({ kind: 'waiting', key: `w${id}`, job, count: countPictures(job) })
    }
  }
  return places.slice(-most)
}

export type Shown =
  | { kind: 'picture'; picture: Picture }
  | { kind: 'running'; job: Job }
  | { kind: 'failed'; job: Job }
  | { kind: 'empty' }

/** What the stage shows: what was chosen, else what is drawn, else the newest that came of it. */
export function chooseShown(
  chosen: Picture | null,
  running: readonly Job[],
  places: readonly Place[],
  pictures: readonly Picture[],
): Shown {
  if (chosen) return { kind: 'picture', picture: chosen }
  const job = running.find(makesPictures)
  if (job) return { kind: 'running', job }
  const last = [...places].reverse().find((one) => one.kind === 'picture' || one.kind === 'failed')
  if (last?.kind === 'failed') return { kind: 'failed', job: last.job }
  // A job's first picture is the one that its name stands for.
  const newest = last?.kind === 'picture' ? last.picture : pictures[0]
  return newest ? { kind: 'picture', picture: newest } : { kind: 'empty' }
}
