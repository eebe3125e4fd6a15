/** Makes settings of a draft from what a picture's file tells, as far as the user wants them. */
import type { Schemas } from '../api/client'
import type { Mode, Values } from '../drafts/draft'

export type ReadSettings = Schemas['ReadSettings']

/** What the programs call themselves that leave settings in their pictures. */
export const TOOL_NAMES: Record<Exclude<ReadSettings['tool'], 'unknown'>, string> = {
  'sdcpp-rest': 'sdcpp-rest',
  a1111: 'AUTOMATIC1111',
  forge: 'Forge',
  swarmui: 'SwarmUI',
  comfyui: 'ComfyUI',
  invokeai: 'InvokeAI',
  fooocus: 'Fooocus',
  novelai: 'NovelAI',
  drawthings: 'Draw Things',
}

export interface RestoreRow {
  /** A field of the request. */
  field: string
  value: unknown
}

const FIRST = [
  'model_name',
  'prompt',
  'negative_prompt',
  'width',
  'height',
  'steps',
  'cfg_scale',
  'distilled_guidance',
  'sampler',
  'scheduler',
  'seed',
  'strength',
  'clip_skip',
]

/** Lists the fields that a file's settings would set, the well-known ones first. `other`: its model, if that is not the chosen one. */
export function listRows(read: ReadSettings, other = ''): RestoreRow[] {
  if (!read.submit) return []
  const body: Values = { ...(read.submit.body as Values), ...(other ? { model_name: other } : {}) }
  const place = (field: string): number => (FIRST.includes(field) ? FIRST.indexOf(field) : FIRST.length)
  return Object.entries(body)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([field, value]) => ({ field, value }))
    .sort((a, b) => place(a.field) - place(b.field) || a.field.localeCompare(b.field))
}

/** The values of the rows that were chosen. */
export function chooseValues(rows: readonly RestoreRow[], chosen: ReadonlySet<string>): Values {
  return Object.fromEntries(rows.filter((row) => chosen.has(row.field)).map((row) => [row.field, row.value]))
}

/** The mode that draws it again. One that began with a picture does so here, too. */
export function modeOf(read: ReadSettings): Mode {
  return read.submit?.kind === 'txt2vid' ? 'video' : read.submit?.kind === 'img2img' ? 'image' : 'text'
}

/** What the file wants and this server does not have. */
export function listMissing(read: ReadSettings): { kind: 'model' | 'lora' | 'vae'; name: string; hash: string }[] {
  const missing: { kind: 'model' | 'lora' | 'vae'; name: string; hash: string }[] = []
  const model = read.fields.model
  if (model && (model.name || model.hash) && !read.matches.model)
    missing.push({ kind: 'model', name: model.name, hash: model.hash })
  for (const lora of read.matches.loras) {
    if (lora.found) continue
    missing.push({
      kind: 'lora',
      name: lora.wanted,
      hash: read.fields.loras?.find((one) => one.name === lora.wanted)?.hash ?? '',
    })
  }
  if (read.fields.vae && !read.matches.vae) missing.push({ kind: 'vae', name: read.fields.vae, hash: '' })
  return missing
}

/** Writes a value in one line. */
export function writeValue(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
