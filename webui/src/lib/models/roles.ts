/** The parts that a model is loaded with: which there are, which files fit, and which are chosen to begin with. */
import type { Schemas } from '../api/client'
import { compareNames } from './catalog'
import { drawsPictures, type ModelFile, type ModelType } from './types'

export const ROLES = [
  'vae',
  'clip_l',
  'clip_g',
  't5xxl',
  'llm',
  'llm_vision',
  'clip_vision',
  'taesd',
  'controlnet',
  'high_noise_diffusion_model',
  'photo_maker',
] as const
export type Role = (typeof ROLES)[number]

export const TYPES_OF_ROLE: Record<Role, readonly ModelType[]> = {
  vae: ['vae'],
  clip_l: ['clip'],
  clip_g: ['clip'],
  t5xxl: ['t5'],
  llm: ['llm'],
  llm_vision: ['llm'],
  clip_vision: ['clip'],
  taesd: ['taesd'],
  controlnet: ['controlnet'],
  high_noise_diffusion_model: ['diffusion'],
  photo_maker: ['lora'],
}

export type Chosen = Partial<Record<Role, string>>

export interface RoleChoice {
  role: Role
  isRequired: boolean
  /** Whether the model's own file brings it along. */
  isInside: boolean
  /** Files that the server says fit, best first, with why. */
  fitting: { name: string; why: string }[]
  /** Other files of the right type. */
  others: string[]
}

type Detection = Schemas['DetectionShown']

/** Lists the parts that a model takes, the needed ones first, each with the files to choose from. */
export function listRoles(detection: Detection | null, files: readonly ModelFile[]): RoleChoice[] {
  const preset = detection?.architecture ?? null
  const required = new Set(preset?.requiredComponents ?? [])
  const optional = new Set(preset?.optionalComponents ?? [])
  const suggested = detection?.suggestions ?? {}
  // Nothing is known of the family: every part may be what it needs.
  const knows = preset !== null
  return ROLES.filter((role) => !knows || required.has(role) || optional.has(role) || role in suggested)
    .map((role) => {
      const fitting = (suggested[role] ?? []).map(({ name, why }) => ({ name, why }))
      const names = new Set(fitting.map((one) => one.name))
      return {
        role,
        isRequired: required.has(role),
        isInside: detection?.inside.includes(role) ?? false,
        fitting,
        others: files
          .filter((file) => TYPES_OF_ROLE[role].includes(file.type) && !names.has(file.name))
          .map((file) => file.name)
          .sort(compareNames),
      }
    })
    .sort((a, b) => Number(b.isRequired && !b.isInside) - Number(a.isRequired && !a.isInside))
}

/** Chooses files to begin with: what the model's own notes name, then the best fit of what it cannot do without. */
export function chooseParts(roles: readonly RoleChoice[], noted: Record<string, string> = {}): Chosen {
  const chosen: Chosen = {}
  for (const { role, isRequired, isInside, fitting } of roles) {
    const own = noted[role]
    if (own) chosen[role] = own
    else if (isRequired && !isInside && fitting[0]) chosen[role] = fitting[0].name
  }
  // A tiny autoencoder decodes, too, where there is no VAE.
  const vae = roles.find((one) => one.role === 'vae')
  const tiny = roles.find((one) => one.role === 'taesd')?.fitting[0]
  if (vae?.isRequired && !vae.isInside && !chosen.vae && !chosen.taesd && tiny) chosen.taesd = tiny.name
  return chosen
}

/** Names the needed parts that are still missing. */
export function missingParts(roles: readonly RoleChoice[], chosen: Chosen): Role[] {
  return roles
    .filter((one) => one.isRequired && !one.isInside && !chosen[one.role])
    .filter((one) => !(one.role === 'vae' && chosen.taesd))
    .map((one) => one.role)
}

/** Makes the body of `POST /models/load`. */
export function buildLoadBody(
  file: Pick<ModelFile, 'name' | 'type'>,
  chosen: Chosen,
  options: Record<string, unknown>,
): Schemas['LoadBody'] {
  const parts = Object.fromEntries(Object.entries(chosen).filter(([, name]) => name))
  return {
    model_name: file.name,
    ...(drawsPictures(file.type) ? { model_type: file.type } : {}),
    ...parts,
    ...(Object.keys(options).length > 0 ? { options: options as Schemas['LoadOptionsBody'] } : {}),
  }
}

/** Writes the chosen parts as `GET …/fit` asks for them. */
export function partsForFit(chosen: Chosen): string[] {
  return Object.entries(chosen)
    .filter(([, name]) => name)
    .map(([role, name]) => `${role}:${name}`)
}
