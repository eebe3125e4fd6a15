/** Writes a job's settings as texts to take elsewhere: A1111's lines, and a call of this server's API. */
import type { Values } from '../drafts/draft'

const NAMES: readonly [string, string][] = [
  ['steps', 'Steps'],
  ['sampler', 'Sampler'],
  ['scheduler', 'Schedule type'],
  ['cfg_scale', 'CFG scale'],
  ['distilled_guidance', 'Distilled CFG Scale'],
  ['seed', 'Seed'],
]

/** Writes settings as A1111 and all that read its texts know them. */
export function writeParameters(params: Values, more: { model?: string | null; seed?: number | null } = {}): string {
  const lines = [String(params.prompt ?? '')]
  if (params.negative_prompt) lines.push(`Negative prompt: ${String(params.negative_prompt)}`)
  const told: Values = { ...params, ...(more.seed === null || more.seed === undefined ? {} : { seed: more.seed }) }
  const pairs = NAMES.filter(([field]) => told[field] !== undefined && told[field] !== null).map(
    ([field, name]) => `${name}: ${String(told[field])}`,
  )
  if (told.width && told.height) pairs.push(`Size: ${String(told.width)}x${String(told.height)}`)
  if (more.model) pairs.push(`Model: ${more.model.replace(/\.[^.]+$/, '')}`)
  if (typeof told.strength === 'number') pairs.push(`Denoising strength: ${told.strength}`)
  if (Number(told.clip_skip) > 0) pairs.push(`Clip skip: ${String(told.clip_skip)}`)
  lines.push(pairs.join(', '))
  return lines.join('\n')
}

/** Writes a call for a shell: quotes within the body cannot end it. */
export function writeCurl(url: string, body: Values): string {
  const json = JSON.stringify(body).replaceAll("'", `'\\''`)
  return `curl '${url}' -H 'Content-Type: application/json' -d '${json}'`
}
