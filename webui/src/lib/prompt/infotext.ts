/** Reads texts in the layout of AUTOMATIC1111's web UI: prompt, "Negative prompt:", a line of settings. */

export interface Infotext {
  prompt: string
  negativePrompt: string
  /** The settings as they are written, by their keys. */
  pairs: Record<string, string>
}

/** What of such a text can be used here, and what not. */
export interface UsableSettings {
  values: Record<string, string | number>
  /** Settings that would change the picture and that nothing here stands for: `Sampler: UniPC`. */
  unknown: string[]
}

const NEGATIVE = /^Negative prompt:/m
const PAIR = /\s*([A-Za-z][\w ./-]{0,60}):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)/g
const FEWEST = 3

/** Reads such a text; null for one without a line of settings. */
export function parseInfotext(text: string): Infotext | null {
  // Most prompts are none, and each key asks.
  if (!text.includes('Steps:')) return null
  const lines = text.trim().split(/\r?\n/)
  const last = lines.pop() ?? ''
  const pairs = readPairs(last)
  if (Object.keys(pairs).length < FEWEST || !pairs.Steps) return null
  const above = lines.join('\n')
  const negative = NEGATIVE.exec(above)
  return {
    prompt: (negative ? above.slice(0, negative.index) : above).trim(),
    negativePrompt: negative ? above.slice(negative.index + negative[0].length).trim() : '',
    pairs,
  }
}

function readPairs(line: string): Record<string, string> {
  const found: Record<string, string> = {}
  if (!/^\s*Steps:|,\s*Steps:/.test(line)) return found
  for (const [, key, value] of line.matchAll(PAIR)) if (key) found[key.trim()] = unquote(value!.trim())
  return found
}

function unquote(value: string): string {
  if (!value.startsWith('"')) return value
  try {
    return String(JSON.parse(value))
  } catch {
    return value.slice(1, -1)
  }
}

const NUMBERS: Record<string, { field: string; isWhole: boolean }> = {
  Steps: { field: 'steps', isWhole: true },
  'CFG scale': { field: 'cfg_scale', isWhole: false },
  'Distilled CFG Scale': { field: 'distilled_guidance', isWhole: false },
  Seed: { field: 'seed', isWhole: true },
  'Clip skip': { field: 'clip_skip', isWhole: true },
  Eta: { field: 'eta', isWhole: false },
  'Denoising strength': { field: 'strength', isWhole: false },
}
const SPELLINGS: Record<string, string> = {
  ddim: 'ddim_trailing',
  automatic: 'discrete',
  normal: 'discrete',
  uniform: 'discrete',
  alignyoursteps: 'ays',
}

/** Makes fields of a request of it; samplers and schedulers by the names that the server has. */
export function mapInfotext(
  told: Infotext,
  samplers: readonly string[],
  schedulers: readonly string[],
): UsableSettings {
  const values: UsableSettings['values'] = { prompt: told.prompt, negative_prompt: told.negativePrompt }
  const unknown: string[] = []
  const { pairs } = told
  const isHires = Object.keys(pairs).some((key) => key.startsWith('Hires '))
  for (const [key, { field, isWhole }] of Object.entries(NUMBERS)) {
    // With a larger second pass this is the strength of that one.
    if (pairs[key] === undefined || (field === 'strength' && isHires)) continue
    const value = Number(pairs[key])
    if (Number.isFinite(value) && pairs[key] !== '') values[field] = isWhole ? Math.round(value) : value
  }
  const size = /^(\d+)\s*[x×]\s*(\d+)$/.exec(pairs.Size ?? '')
  if (size) Object.assign(values, { width: Number(size[1]), height: Number(size[2]) })
  const { sampler, scheduler } = readSampler(pairs.Sampler ?? '', samplers, schedulers)
  if (sampler) values.sampler = sampler
  else if (pairs.Sampler) unknown.push(`Sampler: ${pairs.Sampler}`)
  const wanted = pairs['Schedule type'] ?? pairs.Scheduler
  const named = wanted ? findName(wanted, schedulers) : scheduler
  if (named) values.scheduler = named
  else if (wanted) unknown.push(`Schedule type: ${wanted}`)
  return { values, unknown }
}

/** "DPM++ 2M Karras" is a sampler and a scheduler. */
function readSampler(
  name: string,
  samplers: readonly string[],
  schedulers: readonly string[],
): { sampler?: string; scheduler?: string } {
  const whole = findName(name, samplers)
  if (whole) return { sampler: whole }
  const words = name.trim().split(/\s+/)
  for (let cut = 1; cut < words.length; cut++) {
    const scheduler = findName(words.slice(cut).join(' '), schedulers)
    const sampler = findName(words.slice(0, cut).join(' '), samplers)
    if (sampler && scheduler) return { sampler, scheduler }
  }
  return {}
}

function findName(wanted: string, names: readonly string[]): string | undefined {
  const folded = fold(wanted)
  const spelt = SPELLINGS[folded] ?? folded
  return names.find((one) => one === spelt || fold(one) === folded)
}

function fold(name: string): string {
  return name
    .toLowerCase()
    .replace(/^k_(?=dpm|euler|heun|lms)/, '')
    .replace(/dpmpp/, 'dpm++')
    .replace(/ancestral/, 'a')
    .replace(/[\s_-]+/g, '')
}
