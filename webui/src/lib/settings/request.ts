/** Makes the request of a draft for looking at, not for drawing: with a dot in the place of each picture that is not sent. */
import { buildRequest, type BuiltRequest, type Draft } from '../drafts/draft'
import type { Options } from './fields'

/** A picture of one pixel. What memory and time a job takes does not depend on the size of the pictures it is given. */
export const DOT = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=='

export function sketchRequest(draft: Draft, options: Options | null): Promise<BuiltRequest> {
  return buildRequest(draft, options, () => Promise.resolve(DOT))
}

/** What a preset keeps of a draft: its settings, without its model, and without the prompt where `withPrompt` is not set. */
export function settingsOf(draft: Draft, withPrompt: boolean): Record<string, unknown> {
  const { prompt, negative_prompt: negative, model_name: _model, ...values } = draft.values
  const texts = withPrompt ? { ...(prompt ? { prompt } : {}), ...(negative ? { negative_prompt: negative } : {}) } : {}
  return { ...values, ...texts }
}

/** Puts the settings of a preset over those of a draft. A prompt that the preset does not have stays. */
export function applySettings(
  values: Readonly<Record<string, unknown>>,
  settings: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const field of ['prompt', 'negative_prompt', 'model_name']) if (field in values) kept[field] = values[field]
  return { ...kept, ...settings }
}

/** The field that an error's path names: `cache_options.threshold` and `skip_layers[0]` belong to their whole. */
export function fieldOfPath(path: string): string {
  return path.split(/[.[]/)[0] ?? path
}
