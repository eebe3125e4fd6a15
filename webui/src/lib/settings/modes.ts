/** Knows which modes the loaded model can do, and what keeps it from the others. */
import type { Schemas } from '../api/client'
import type { Draft, DraftInputs, Mode } from '../drafts/draft'
import type { Preset } from './fields'

/** `told`: the server's own sentence. */
export type ModeObstacle = { why: 'noPictures' | 'noEdit' | 'noVideo' } | { why: 'told'; text: string }

const PICTURE_OF_MODE: Partial<Record<Mode, string>> = {
  image: 'init_image_base64',
  inpaint: 'mask_image_base64',
  edit: 'ref_images',
}

/** Says why a mode cannot be used with what is loaded; null: it can. Without a model nothing is known, so all can. */
export function obstacleOf(
  mode: Mode,
  preset: Preset | null,
  health: Pick<Schemas['Health'], 'model_loaded' | 'supports_image_generation' | 'supports_video_generation'> | null,
): ModeObstacle | null {
  if (!preset && !health?.model_loaded) return null
  const makesPictures = preset ? preset.makes_images : (health?.supports_image_generation ?? true)
  const makesVideo = preset ? preset.makes_video : (health?.supports_video_generation ?? true)
  if (mode === 'video') return makesVideo ? null : { why: 'noVideo' }
  if (!makesPictures) return { why: 'noPictures' }
  if (mode === 'edit' && preset && !preset.takes_reference_images) return { why: 'noEdit' }
  const field = PICTURE_OF_MODE[mode]
  const ignored = preset?.ignores.find((one) => one.field === field)
  return ignored ? { why: 'told', text: ignored.reason } : null
}

export type InputRole = keyof DraftInputs

/** The pictures that a mode lives by, in the order in which they are asked for. */
export function inputsOf(mode: Mode, preset: Preset | null): InputRole[] {
  if (mode === 'image') return ['init']
  if (mode === 'inpaint') return ['init', 'mask']
  if (mode === 'edit') return ['references']
  if (mode === 'text') return []
  const takes = (field: string): boolean => !preset?.ignores.some((one) => one.field === field)
  return [
    ...(takes('init_image_base64') ? (['init'] as const) : []),
    ...(takes('end_image_base64') ? (['end'] as const) : []),
  ]
}

/** The pictures that may come besides: what the model takes, and what the draft has and would be sent. */
export function extraInputsOf(mode: Mode, preset: Preset | null, inputs: DraftInputs): InputRole[] {
  const roles: InputRole[] = []
  const takes = (field: string): boolean => preset?.ignores.every((one) => one.field !== field) ?? false
  const isVideo = mode === 'video'
  if (preset?.takes_controlnet || inputs.control || (isVideo && takes('control_image_base64'))) roles.push('control')
  if (isVideo && (takes('control_frames') || inputs.frames?.length)) roles.push('frames')
  if (!isVideo && ((preset?.takes_photo_maker && takes('pm_id_images')) || inputs.faces?.length)) roles.push('faces')
  const areExtra = mode !== 'edit' && !isVideo
  if (areExtra && (preset?.takes_reference_images || inputs.references.length > 0)) roles.push('references')
  return roles
}

/** The field of the request whose picture is still missing; null: nothing is. */
export function missingPicture(draft: Pick<Draft, 'mode' | 'inputs'>): string | null {
  if ((draft.mode === 'image' || draft.mode === 'inpaint') && !draft.inputs.init) return 'init_image_base64'
  return draft.mode === 'edit' && draft.inputs.references.length === 0 ? 'ref_images' : null
}
