/** Says where each setting stands: the few that everybody uses on top, the others folded away under what they are for. */
import type { SettingField } from './fields'

export const SECTIONS = ['larger', 'loras', 'control', 'caches', 'tiling', 'rest'] as const
export type SectionName = (typeof SECTIONS)[number]

/** Those on top, in their order. Width and height are one field there, the seed and the number of pictures share a row. */
export const MAIN = [
  'width',
  'height',
  'strength',
  'video_frames',
  'fps',
  'steps',
  'cfg_scale',
  'distilled_guidance',
  'sampler',
  'scheduler',
  'seed',
  'batch_count',
] as const

const MAIN_NAMES = new Set<string>(MAIN)

const PLACES: readonly (readonly [pattern: RegExp, section: SectionName])[] = [
  [/^(hires|upscale)(_|$)/, 'larger'],
  [/^(control_|preprocess$|img_cfg_scale$|auto_resize_ref|increase_ref|pm_|vace_)/, 'control'],
  [/^(cache_|easycache)/, 'caches'],
  [/^vae_til/, 'tiling'],
]

/** Names the section of a field; null: it stands on top. */
export function sectionOf(name: string): SectionName | null {
  if (MAIN_NAMES.has(name)) return null
  return PLACES.find(([pattern]) => pattern.test(name))?.[1] ?? 'rest'
}

/** Sorts the fields into their sections; those on top come in their own order. */
export function sortIntoSections(fields: readonly SettingField[]): {
  main: SettingField[]
  folded: Record<SectionName, SettingField[]>
} {
  const folded = Object.fromEntries(SECTIONS.map((name) => [name, [] as SettingField[]])) as Record<
    SectionName,
    SettingField[]
  >
  const main: SettingField[] = []
  for (const field of fields) {
    const section = sectionOf(field.name)
    if (section) folded[section].push(field)
    else main.push(field)
  }
  main.sort((a, b) => MAIN.indexOf(a.name as never) - MAIN.indexOf(b.name as never))
  return { main, folded }
}

/** Finds fields by words: all of them must be in the label, the name or the meaning. Those found by their label come first. */
export function searchFields(fields: readonly SettingField[], query: string): SettingField[] {
  const words = fold(query).split(/\s+/).filter(Boolean)
  if (words.length === 0) return []
  const rank = (field: SettingField): number => {
    const label = fold(field.label)
    const name = field.name.replaceAll('_', ' ')
    if (words.every((word) => label.includes(word))) return label.startsWith(words[0]!) ? 0 : 1
    if (words.every((word) => name.includes(word) || field.name.includes(word))) return 2
    const all = `${label} ${name} ${field.name} ${fold(field.description)}`
    return words.every((word) => all.includes(word)) ? 3 : 4
  }
  return fields
    .map((field) => ({ field, at: rank(field) }))
    .filter(({ at }) => at < 4)
    .sort((a, b) => a.at - b.at)
    .map(({ field }) => field)
}

function fold(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
}
