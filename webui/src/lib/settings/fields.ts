/** Makes of the server's list of settings what a form needs: one entry a field, with what the loaded model recommends. */
import type { Schemas } from '../api/client'
import { defaultOf, type RequestKind } from '../drafts/draft'

export type Options = Schemas['GenerationOptions']
export type Preset = Schemas['PresetShown']

export interface SettingField {
  name: string
  type: Schemas['OptionShown']['type']
  label: string
  description: string
  minimum?: number
  maximum?: number
  isWhole: boolean
  values?: Record<string, string>
  fallback: unknown
  /** What the loaded model is best drawn with. */
  recommended?: unknown
  /** The range around it: a hint, no limit. */
  range?: { min: number; max: number }
  /** Why the loaded model makes nothing of it. */
  noEffect?: string
}

/** What has a place of its own on the page, or is no setting: texts, pictures, the place in a grid. */
const ELSEWHERE = new Set([
  'prompt',
  'negative_prompt',
  'styles',
  'group',
  'model_name',
  'ref_images',
  'control_frames',
  'pm_id_images',
])

/** Lists the settings of one kind of request, in the server's order. `labels` are the page's own names of some. */
export function listFields(
  options: Options | null,
  preset: Preset | null,
  kind: RequestKind,
  labels: Readonly<Record<string, string>> = {},
): SettingField[] {
  const fields: SettingField[] = []
  for (const [name, option] of Object.entries(options?.options ?? {})) {
    if (ELSEWHERE.has(name) || name.endsWith('_base64') || (option.modes && !option.modes.includes(kind))) continue
    const { recommended, range } = readRecommended(name, preset)
    fields.push({
      name,
      type: option.type,
      label: labels[name] ?? option.label,
      description: option.description,
      minimum: option.minimum,
      maximum: option.maximum,
      isWhole: option.integer ?? false,
      values: option.values,
      fallback: defaultOf(name, kind, options, preset),
      recommended,
      range,
      noEffect: option.no_effect ?? preset?.ignores.find((one) => one.field === name)?.reason,
    })
  }
  return fields
}

function readRecommended(name: string, preset: Preset | null): Pick<SettingField, 'recommended' | 'range'> {
  const told = (preset?.recommended as Record<string, unknown> | undefined)?.[name]
  if (told === undefined || told === null) return {}
  if (typeof told !== 'object') return { recommended: told }
  const { min, max, recommended } = told as { min: number; max: number; recommended: number }
  return { recommended, range: { min, max } }
}

/** What a setting only matters with; without it, its field is put away. */
const NEEDS: readonly (readonly [pattern: RegExp, field: string, isOn: (value: unknown) => boolean])[] = [
  [/^hires_/, 'hires', Boolean],
  [/^upscale_/, 'upscale', Boolean],
  [/^easycache_/, 'easycache', Boolean],
  [/^vae_tile_/, 'vae_tiling', Boolean],
  [/^cache_options$/, 'cache_mode', (value) => typeof value === 'string' && value !== '' && value !== 'disabled'],
]

/** Whether what a field depends on is switched on. */
export function isNeeded(name: string, valueOf: (field: string) => unknown): boolean {
  return NEEDS.every(([pattern, field, isOn]) => !pattern.test(name) || isOn(valueOf(field)))
}

export interface SliderRange {
  min: number
  max: number
  step: number
}

/** The range in which sliding makes sense; null: a number is typed. */
export function sliderOf(field: SettingField): SliderRange | null {
  const { minimum, maximum, range } = field
  if (field.type !== 'number') return null
  if (range) {
    const min = Math.min(minimum ?? range.min, range.min)
    return { min, max: range.max, step: field.isWhole ? 1 : range.max - min > 2 ? 0.1 : 0.05 }
  }
  if (minimum !== undefined && maximum !== undefined && maximum - minimum <= 1)
    return { min: minimum === 0.01 ? 0 : minimum, max: maximum, step: 0.01 }
  return null
}

/** What is wrong with a value: `limits` are told with it. */
export interface Problem {
  what: 'number' | 'whole' | 'range' | 'least' | 'most' | 'numbers'
  least?: number
  most?: number
}

/** Looks whether a value is one that the field takes. Empty means the default, which is always right. */
export function checkValue(
  field: Pick<SettingField, 'type' | 'minimum' | 'maximum' | 'isWhole' | 'fallback'>,
  value: unknown,
): Problem | null {
  if (value === undefined || value === null || value === '') return null
  if (field.type === 'array' && Array.isArray(field.fallback) && field.fallback.some((one) => typeof one === 'number'))
    return Array.isArray(value) && value.every((one) => typeof one === 'number') ? null : { what: 'numbers' }
  if (field.type !== 'number') return null
  if (typeof value !== 'number' || !Number.isFinite(value)) return { what: 'number' }
  if (field.isWhole && !Number.isInteger(value)) return { what: 'whole' }
  const { minimum: least, maximum: most } = field
  const isLow = least !== undefined && value < least
  const isHigh = most !== undefined && value > most
  if (!isLow && !isHigh) return null
  if (least !== undefined && most !== undefined) return { what: 'range', least, most }
  return isLow ? { what: 'least', least } : { what: 'most', most }
}

/** Reads what was typed as a number; what is none stays as it was typed, so that it can be told and mended. */
export function readNumber(text: string): number | string | undefined {
  const plain = text.trim().replace(',', '.')
  if (plain === '') return undefined
  const value = Number(plain)
  return Number.isFinite(value) ? value : text
}

/** Reads a list that was typed with commas. Lists of numbers become numbers where all of them are. */
export function readList(text: string, ofNumbers: boolean): unknown[] {
  const parts = text
    .split(/[,;\n]+/)
    .map((one) => one.trim())
    .filter(Boolean)
  return ofNumbers ? parts.map((one) => (Number.isFinite(Number(one)) ? Number(one) : one)) : parts
}
