/** Lists what is known of a picture, as lines that can be read and copied. Values are texts of users: never markup. */

export interface Fact {
  /** The server's name for it. */
  name: string
  value: string
}

/** Fields that have a place of their own, or that are pictures themselves. */
const APART = new Set(['prompt', 'negative_prompt'])
const MOST_CHARACTERS = 4000

/** Writes what has a name by it (a model and its hash, a LoRA and its weight), other things as they are. */
function writeValue(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return value.map(writeValue).join(', ')
  const { name, ...rest } = value as Record<string, unknown>
  const others = Object.values(rest).filter((one) => !isEmpty(one))
  if (typeof name === 'string' && others.every((one) => typeof one !== 'object'))
    return [name, ...others.map(String)].join(' ')
  return JSON.stringify(value, null, 1).replace(/\n\s*/g, ' ')
}

/** Whether a value says nothing. A number 0 and `false` say something. */
function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true
  if (Array.isArray(value)) return value.length === 0
  return typeof value === 'object' && Object.keys(value).length === 0
}

/** Makes lines of an object, the ones named in `first` in front, the others by their names. */
export function listFacts(told: Record<string, unknown>, first: readonly string[] = []): Fact[] {
  const names = Object.keys(told).filter((name) => !APART.has(name) && !isEmpty(told[name]))
  const place = (name: string): number => (first.includes(name) ? first.indexOf(name) : first.length)
  names.sort((a, b) => place(a) - place(b) || a.localeCompare(b))
  return names.map((name) => {
    const value = writeValue(told[name])
    return { name, value: value.length > MOST_CHARACTERS ? `${value.slice(0, MOST_CHARACTERS)}…` : value }
  })
}

/** The settings that are read first. */
export const FIRST_SETTINGS = [
  'seed',
  'width',
  'height',
  'steps',
  'sampler',
  'scheduler',
  'cfg_scale',
  'distilled_guidance',
  'strength',
  'model',
  'loras',
] as const
