/** Lists the settings that a comparison can vary, with the model that is loaded. */
import type { Schemas } from '../api/client'
import type { RequestKind } from '../drafts/draft'
import type { AxisSpec } from './axis'

const FIRST = ['seed', 'steps', 'cfg_scale', 'sampler', 'scheduler', 'strength', 'distilled_guidance']
/** These say nothing of the picture, or of how many there are. */
const LEFT_OUT = new Set(['batch_count', 'title', 'image_index', 'job_id', 'tile_size'])

/** The choice of the model as an axis. */
export const MODEL_AXIS = 'model:model_name'

export interface AxisChoice {
  /** What makes it one of its kind: `number:steps`, `lora:ink`. */
  id: string
  label: string
  spec: Omit<AxisSpec, 'text'>
}

export function listAxisChoices(
  kind: RequestKind,
  options: Schemas['GenerationOptions'] | null,
  loras: readonly string[],
  models: readonly string[],
  words: { replace: string; model: string; lora: (name: string) => string },
): AxisChoice[] {
  const fields = Object.entries(options?.options ?? {})
    .filter(
      ([name, option]) =>
        (option.type === 'number' || (option.type === 'select' && option.values)) &&
        option.modes?.includes(kind) &&
        !option.no_effect &&
        !LEFT_OUT.has(name),
    )
    .map(([name, option]): AxisChoice => {
      const isNumber = option.type === 'number'
      return {
        id: `${isNumber ? 'number' : 'choice'}:${name}`,
        label: option.label,
        spec: isNumber
          ? {
              field: name,
              kind: 'number',
              isWhole: option.integer ?? false,
              minimum: option.minimum ?? undefined,
              maximum: option.maximum ?? undefined,
            }
          : { field: name, kind: 'choice', choices: Object.keys(option.values ?? {}).filter(Boolean) },
      }
    })
  const place = (field: string): number => (FIRST.includes(field) ? FIRST.indexOf(field) : FIRST.length)
  fields.sort((a, b) => place(a.spec.field) - place(b.spec.field))
  const tags = loras.map((file) => file.replace(/\.[^.]+$/, ''))
  return [
    ...(models.length > 1
      ? [{ id: MODEL_AXIS, label: words.model, spec: { field: 'model_name', kind: 'model', choices: models } } as const]
      : []),
    { id: 'replace:prompt', label: words.replace, spec: { field: 'prompt', kind: 'replace' } },
    ...fields,
    ...tags.map((name): AxisChoice => ({
      id: `lora:${name}`,
      label: words.lora(name),
      spec: { field: name, kind: 'lora', minimum: -10, maximum: 10 },
    })),
  ]
}
