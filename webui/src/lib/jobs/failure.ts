/** What can be done about a job that failed: by the code of its error, never by its text. */
import type { Job } from '../events/apply'

export type Remedy =
  /** Made again with other settings. */
  | { kind: 'size'; width: number; height: number; overrides: Record<string, unknown> }
  | { kind: 'tiling'; overrides: Record<string, unknown> }
  | { kind: 'one'; overrides: Record<string, unknown> }
  | { kind: 'tile'; size: number; overrides: Record<string, unknown> }
  | { kind: 'seed' }
  | { kind: 'again' }
  | { kind: 'edit' }
  /** The load dialog of a model, with the field that is missing. */
  | { kind: 'load'; model: string }
  | { kind: 'models' }

const AGAIN = new Set(['txt2img', 'img2img', 'txt2vid', 'upscale', 'model_download', 'convert'])
const EDIT = new Set(['txt2img', 'img2img', 'txt2vid'])
const SMALLEST_SIDE = 64
const SMALLEST_TILE = 32

/** Whether a job of this kind can be made again. */
export function canRepeat(job: Pick<Job, 'type'>): boolean {
  return AGAIN.has(job.type)
}

/** Whether a job of this kind can be opened as a draft. */
export function canEdit(job: Pick<Job, 'type'>): boolean {
  return EDIT.has(job.type)
}

/** Names what to try after a failure, the most promising first. `multiple` is the step of the family's sizes. */
export function remediesOf(job: Pick<Job, 'type' | 'params' | 'model' | 'error_code'>, multiple = 8): Remedy[] {
  const again: Remedy[] = canRepeat(job) ? [{ kind: 'again' }] : []
  const edit: Remedy[] = canEdit(job) ? [{ kind: 'edit' }] : []
  switch (job.error_code) {
    case 'out_of_memory':
      return [...takeLess(job, multiple), ...edit]
    case 'engine_crashed':
    case 'engine_unavailable':
      return [...again, ...takeLess(job, multiple).slice(0, 1), ...edit]
    case 'picture_is_blank':
      return EDIT.has(job.type) ? [{ kind: 'seed' }, ...edit] : again
    case 'load_failed':
      return job.model ? [{ kind: 'load', model: job.model }, ...again] : [{ kind: 'models' }, ...again]
    case 'no_model_loaded':
    case 'no_upscaler_loaded':
    case 'model_not_found':
    case 'source_forbidden':
    case 'source_not_found':
      return [{ kind: 'models' }, ...again]
    default:
      return [...again, ...edit]
  }
}

/** What takes less memory than the job took. */
export function takeLess(job: Pick<Job, 'type' | 'params'>, multiple = 8): Remedy[] {
  const params = job.params as Record<string, unknown>
  if (job.type === 'upscale') {
    const size = Math.floor(Number(params.tile_size ?? 128) / 2)
    return size >= SMALLEST_TILE ? [{ kind: 'tile', size, overrides: { tile_size: size } }] : []
  }
  if (!EDIT.has(job.type)) return []
  const remedies: Remedy[] = []
  const smaller = halve(params, multiple)
  if (smaller) remedies.push({ kind: 'size', ...smaller, overrides: smaller })
  if (params.vae_tiling !== true) remedies.push({ kind: 'tiling', overrides: { vae_tiling: true } })
  if (Number(params.batch_count) > 1) remedies.push({ kind: 'one', overrides: { batch_count: 1 } })
  return remedies
}

function halve(params: Record<string, unknown>, multiple: number): { width: number; height: number } | null {
  const [width, height] = [params.width, params.height].map(
    (side) => Math.round(Number(side) / 2 / multiple) * multiple,
  ) as [number, number]
  return width >= SMALLEST_SIDE && height >= SMALLEST_SIDE ? { width, height } : null
}
