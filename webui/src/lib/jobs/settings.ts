/** Makes a draft, or a request, of what a job was asked for. */
import {
  FIELD_OF_INPUT,
  isList,
  KIND_OF_MODE,
  type DraftInputs,
  type Mode,
  type PictureSource,
  type Values,
} from '../drafts/draft'
import type { Job } from '../events/apply'

export interface Settings {
  mode: Mode
  values: Values
  inputs: DraftInputs
}

export type Part = 'all' | 'prompt' | 'seed' | 'size'

/** What a field is where nobody has changed it. */
export type DefaultOf = (field: string, kind: (typeof KIND_OF_MODE)[Mode]) => unknown

const INPUTS = Object.entries(FIELD_OF_INPUT) as [keyof DraftInputs, string][]
const PICTURES = new Set(INPUTS.map(([, field]) => field))
/** Not of the picture, but of the job that made it; or told in other words by the server. */
const NOT_KEPT = new Set(['title', 'group', 'expand_prompt', 'styles', 'upscaler'])
const FIELDS_OF_PART: Record<Exclude<Part, 'all'>, readonly string[]> = {
  prompt: ['prompt', 'negative_prompt'],
  seed: ['seed'],
  size: ['width', 'height'],
}

/** Reads `job:<id>/<role>`, by which the parameters name a picture that was sent along. */
export function readReference(told: unknown): PictureSource | null {
  const found = typeof told === 'string' ? /^job:([^/]+)\/(.+)$/.exec(told) : null
  return found ? { from: 'input', jobId: found[1]!, role: found[2]! } : null
}

/**
 * The settings of a job as a draft has them: only what differs from the defaults. `other` names its model where that is
 * not the chosen one: the draft keeps it, and all values, because another model has other defaults. Null for jobs that
 * draw nothing.
 */
export function settingsOf(
  job: Pick<Job, 'type' | 'params'>,
  fields: ReadonlySet<string>,
  defaultOf: DefaultOf,
  other = '',
): Settings | null {
  if (job.type !== 'txt2img' && job.type !== 'img2img' && job.type !== 'txt2vid') return null
  const params = job.params as Values
  const inputs: DraftInputs = { references: [] }
  for (const [role, field] of INPUTS) {
    const told = params[field]
    if (isList(role)) {
      if (Array.isArray(told)) inputs[role] = told.map(readReference).filter((one) => one !== null)
    } else inputs[role] = readReference(told) ?? undefined
  }
  const mode = modeOf(job.type, inputs)
  const values: Values = {}
  for (const [field, value] of Object.entries(params)) {
    if (!fields.has(field) || NOT_KEPT.has(field) || PICTURES.has(field)) continue
    if (value === null || isSame(value, other ? undefined : defaultOf(field, KIND_OF_MODE[mode]))) continue
    values[field] = value
  }
  if (other) values.model_name = other
  values.prompt = typeof params.prompt === 'string' ? params.prompt : ''
  return { mode, values, inputs }
}

function modeOf(type: 'txt2img' | 'img2img' | 'txt2vid', inputs: DraftInputs): Mode {
  if (type === 'txt2vid') return 'video'
  if (type === 'img2img') return inputs.mask ? 'inpaint' : 'image'
  return inputs.references.length > 0 ? 'edit' : 'text'
}

function isSame(a: unknown, b: unknown): boolean {
  // The server fills in what was left out of an object; an empty one says the same.
  if (isEmpty(a) && isEmpty(b)) return true
  return JSON.stringify(a) === JSON.stringify(b)
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true
  return typeof value === 'object' && Object.values(value).every(isEmpty)
}

/** The fields of `values` that a chosen part means. */
export function pickPart(values: Values, part: Part): Values {
  if (part === 'all') return { ...values }
  return Object.fromEntries(FIELDS_OF_PART[part].filter((field) => field in values).map((one) => [one, values[one]]))
}
