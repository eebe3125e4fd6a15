/** Knows what the assistant's proposals are: which only look, which draw, and what of the page they concern. */
import type { Schemas } from '../api/client'
import type { Values } from '../drafts/draft'

export type Action = Schemas['ActionShown']

const READING = new Set(['search_models', 'switch_view'])
const VIEWS: Record<string, string> = {
  dashboard: 'generate',
  txt2img: 'generate',
  img2img: 'generate',
  txt2vid: 'generate',
  upscale: 'upscale',
  models: 'models',
  downloads: 'queue',
  convert: 'models',
  queue: 'queue',
  gallery: 'gallery',
  settings: 'settings',
}

/** Whether an action changes nothing, so that the user may have it done without being asked. */
export function isReading(action: Action): boolean {
  return READING.has(action.type)
}

/** Whether it can be put into a draft instead of being done. */
export function isEditable(action: Action): boolean {
  return ['generate', 'img2img', 'txt2vid', 'set_parameters'].includes(action.type)
}

/** The page that is meant by a name of a view. */
export function pageOfView(view: unknown): string {
  return VIEWS[String(view)] ?? 'generate'
}

/** Lists an action's parameters in one line each. */
export function listParameters(action: Action): { name: string; value: string }[] {
  return Object.entries(action.parameters as Values).map(([name, value]) => ({
    name,
    value: typeof value === 'string' ? value : JSON.stringify(value),
  }))
}
