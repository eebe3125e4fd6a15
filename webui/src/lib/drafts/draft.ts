/** A draft: what somebody is about to draw. Only what differs from the model's own settings is kept in it. */
import type { Schemas } from '../api/client'

export type Mode = 'text' | 'image' | 'inpaint' | 'edit' | 'video'
export const MODES: readonly Mode[] = ['text', 'image', 'inpaint', 'edit', 'video']

/** The kind of a request that a mode makes, by the server's word for it. */
export const KIND_OF_MODE = {
  text: 'txt2img',
  image: 'img2img',
  inpaint: 'img2img',
  edit: 'txt2img',
  video: 'txt2vid',
} as const
export type RequestKind = (typeof KIND_OF_MODE)[Mode]

/** A picture that a draft takes: one that the server has (no upload), or one of the user's own. */
export type PictureSource =
  | { from: 'output'; path: string; version?: string; width?: number; height?: number }
  | { from: 'input'; jobId: string; role: string; width?: number; height?: number }
  | { from: 'file'; blob: Blob; name: string; width?: number; height?: number }

export interface DraftInputs {
  init?: PictureSource
  mask?: PictureSource
  end?: PictureSource
  control?: PictureSource
  references: PictureSource[]
  /** One face, for PhotoMaker. */
  faces?: PictureSource[]
  /** What VACE goes by, frame by frame. */
  frames?: PictureSource[]
}

/** Those that are several pictures, in an order. */
export const LISTS = ['references', 'faces', 'frames'] as const
export type ListRole = (typeof LISTS)[number]

export function isList(role: keyof DraftInputs): role is ListRole {
  return (LISTS as readonly string[]).includes(role)
}

/** The pictures of a place, however many it takes. */
export function sourcesOf(inputs: DraftInputs, role: keyof DraftInputs): PictureSource[] {
  const held = inputs[role]
  return Array.isArray(held) ? held : held ? [held] : []
}

export type Values = Record<string, unknown>

export interface Draft {
  id: string
  /** The name that was given to it; empty: its prompt names it. */
  name: string
  mode: Mode
  /** Fields of the request, by the server's names, as far as they were changed. The prompt is one of them. */
  values: Values
  inputs: DraftInputs
  /** Whether the seed stays as it is from one start to the next. */
  keepsSeed: boolean
}

export function makeDraft(id: string, mode: Mode = 'text'): Draft {
  return { id, name: '', mode, values: {}, inputs: { references: [] }, keepsSeed: false }
}

/** What the loaded model makes of a field that nobody changed: its family's setting, else the server's. */
export function defaultOf(
  field: string,
  kind: RequestKind,
  options: Schemas['GenerationOptions'] | null,
  preset: Schemas['PresetShown'] | null,
): unknown {
  const family = preset?.generationDefaults?.[field]
  if (family !== undefined && family !== null) return family
  const option = options?.options[field]
  const ofMode = option?.mode_defaults?.[kind]
  return ofMode ?? option?.default
}

/** What a field is in a draft: what was chosen, else the default. */
export function valueOf(
  draft: Draft,
  field: string,
  options: Schemas['GenerationOptions'] | null,
  preset: Schemas['PresetShown'] | null,
): unknown {
  return field in draft.values ? draft.values[field] : defaultOf(field, KIND_OF_MODE[draft.mode], options, preset)
}

/** Names the field of the request that a picture of a draft is sent in. */
export const FIELD_OF_INPUT = {
  init: 'init_image_base64',
  mask: 'mask_image_base64',
  end: 'end_image_base64',
  control: 'control_image_base64',
  references: 'ref_images',
  faces: 'pm_id_images',
  frames: 'control_frames',
} as const

/** Which pictures each mode sends; others stay in the draft, for when the mode is chosen again. */
const INPUTS_OF_MODE: Record<Mode, readonly (keyof DraftInputs)[]> = {
  text: ['control', 'references', 'faces'],
  image: ['init', 'control', 'references', 'faces'],
  inpaint: ['init', 'mask', 'control', 'references', 'faces'],
  edit: ['references', 'control', 'faces'],
  video: ['init', 'end', 'control', 'frames'],
}

export interface BuiltRequest {
  kind: RequestKind
  body: Record<string, unknown>
}

/**
 * Makes the request of a draft. Fields that the mode does not know are left out; pictures of the server are named, not
 * sent. `encode` makes a base64 text of a file.
 */
export async function buildRequest(
  draft: Draft,
  options: Schemas['GenerationOptions'] | null,
  encode: (blob: Blob) => Promise<string>,
): Promise<BuiltRequest> {
  const kind = KIND_OF_MODE[draft.mode]
  const body: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(draft.values)) {
    const modes = options?.options[field]?.modes
    if (value === undefined || value === null || (modes && !modes.includes(kind))) continue
    body[field] = value
  }
  body.prompt = typeof draft.values.prompt === 'string' ? draft.values.prompt : ''
  for (const role of INPUTS_OF_MODE[draft.mode]) {
    const sent = await Promise.all(sourcesOf(draft.inputs, role).map((one) => sendPicture(one, encode)))
    if (sent.length > 0) body[FIELD_OF_INPUT[role]] = isList(role) ? sent : sent[0]
  }
  return { kind, body }
}

/** Writes a picture as a request names it: by where the server has it, or as base64. */
export async function sendPicture(source: PictureSource, encode: (blob: Blob) => Promise<string>): Promise<unknown> {
  if (source.from === 'output') return { output: source.path }
  if (source.from === 'input') return { input: `${source.jobId}/${source.role}` }
  return await encode(source.blob)
}

/** The name to show: the given one, else the prompt's beginning. */
export function nameOf(draft: Draft, unnamed: string): string {
  const prompt = typeof draft.values.prompt === 'string' ? draft.values.prompt.trim() : ''
  return draft.name || prompt.slice(0, 40) || unnamed
}
