/** Writes what the event stream tells into the page's picture of the server. */
import type { Schemas } from '../api/client'
import type { ServerEvent } from './feed'

export type Job = Schemas['JobShown']
export type Picture = Schemas['PictureItem']
export type Health = Schemas['Health']

export interface Preview {
  /** A data URL (JPEG). */
  image: string
  step: number
  width: number
  height: number
}

export interface View {
  health: Health | null
  counts: Schemas['QueueCounts'] | null
  /** What runs or waits, and what has ended since the page was opened, by id. */
  jobs: Record<string, Job>
  previews: Record<string, Preview>
  /** When the newest progress of a job came (milliseconds), for counting down in between. */
  heard: Record<string, number>
  /** How far a model is loaded, 0 to 1; null: nobody counts. */
  loading: { name: string; progress: number | null } | null
}

/** What is to be asked for after an event: the event alone does not tell it. */
export type Want =
  | { what: 'job'; id: string }
  | { what: 'queue' }
  | { what: 'pictures'; jobId: string }
  | { what: 'gallery' }
  | { what: 'models' }
  | { what: 'model' }
  | { what: 'ended'; id: string; status: Job['status']; error: string | null }

const ENDED = new Set(['completed', 'failed', 'cancelled'])

export function isEnded(status: string): boolean {
  return ENDED.has(status)
}

/** Applies one event to `view` and returns what is to be asked for then. */
export function applyEvent(view: View, event: ServerEvent, now: number = Date.now()): Want[] {
  const data = event.data
  const id = typeof data.job_id === 'string' ? data.job_id : ''
  switch (event.event) {
    case 'server_status':
      return applyStatus(view, data)
    case 'job_added':
      return view.jobs[id] ? [] : [{ what: 'job', id }]
    case 'job_status_changed':
      return applyJobStatus(view, id, data)
    case 'job_cancelled':
      return []
    case 'job_progress':
      if (view.jobs[id]) {
        const { job_id: _job, ...progress } = data
        Object.assign(view.jobs[id].progress, progress)
        view.heard[id] = now
        return []
      }
      return [{ what: 'job', id }]
    case 'job_preview':
      view.previews[id] = {
        image: String(data.image),
        step: Number(data.step),
        width: Number(data.width),
        height: Number(data.height),
      }
      return []
    case 'model_loading_progress':
      view.loading = {
        name: String(data.model_name),
        progress: typeof data.progress === 'number' ? data.progress : null,
      }
      return []
    case 'model_loaded':
    case 'model_load_failed':
    case 'model_unloaded':
    case 'engine_restarted':
    case 'upscaler_loaded':
    case 'upscaler_unloaded':
      view.loading = null
      return [{ what: 'model' }]
    case 'models_changed':
      return [{ what: 'models' }]
    case 'queue_paused':
    case 'queue_resumed':
      if (view.counts) view.counts.paused = event.event === 'queue_paused'
      return []
    case 'queue_reordered':
      return [{ what: 'queue' }]
    case 'gallery_changed':
      return [{ what: 'gallery' }]
    default:
      // An event of a newer server: nothing here depends on it.
      return []
  }
}

function applyStatus(view: View, data: Record<string, unknown>): Want[] {
  const before = view.health
  view.health = { ...(before ?? {}), ...data } as Health
  const counts = data.queue as Schemas['QueueCounts'] | undefined
  // The heartbeat counts, but does not say whether the queue is paused.
  if (counts) view.counts = { ...view.counts, ...counts }
  if (!view.health.model_loading) view.loading = null
  // A greeting after a break may tell of another model than the one whose settings are shown.
  return before && before.model_name !== view.health.model_name ? [{ what: 'model' }] : []
}

function applyJobStatus(view: View, id: string, data: Record<string, unknown>): Want[] {
  const status = String(data.status) as Job['status']
  const job = view.jobs[id]
  moveCounts(view, String(data.previous_status), status)
  const wants: Want[] = job ? [] : [{ what: 'job', id }]
  if (job) {
    job.status = status
    if (Array.isArray(data.outputs)) job.outputs = data.outputs as string[]
    if (typeof data.error === 'string') job.error = data.error
    if (typeof data.started_at === 'string') job.started_at = data.started_at
    if (typeof data.completed_at === 'string') job.completed_at = data.completed_at
  }
  if (isEnded(status)) {
    delete view.previews[id]
    delete view.heard[id]
    wants.push({ what: 'ended', id, status, error: typeof data.error === 'string' ? data.error : null })
    // Only the job itself tells the code of an error, the warnings and the seed that was drawn.
    if (job) wants.push({ what: 'job', id })
    if (status === 'completed') wants.push({ what: 'pictures', jobId: id })
  }
  return wants
}

function moveCounts(view: View, from: string, to: string): void {
  const counts = view.counts as unknown as Record<string, number> | null
  if (!counts) return
  const before = `${from}_count`
  const after = `${to}_count`
  if (typeof counts[before] === 'number') counts[before] = Math.max(0, counts[before] - 1)
  if (typeof counts[after] === 'number') counts[after] += 1
}
