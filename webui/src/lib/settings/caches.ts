/** Knows the knobs of the step caches: which belong to which way of caching, and what they take. */

export interface Knob {
  name: string
  type: 'number' | 'whole' | 'boolean' | 'string'
  minimum?: number
  maximum?: number
}

const share = (name: string): Knob => ({ name, type: 'number', minimum: 0, maximum: 1 })
const scale = (name: string): Knob => ({ name, type: 'number', minimum: 0, maximum: 1000 })
const whole = (name: string, minimum: number, maximum: number): Knob => ({ name, type: 'whole', minimum, maximum })
const flag = (name: string): Knob => ({ name, type: 'boolean' })

const TIMED: readonly Knob[] = [scale('threshold'), share('start'), share('end')]
const BLOCKS: readonly Knob[] = [
  whole('fn_compute_blocks', 0, 1000),
  whole('bn_compute_blocks', 0, 1000),
  scale('residual_diff_threshold'),
  whole('max_warmup_steps', 0, 10_000),
  whole('max_cached_steps', -1, 10_000),
  whole('max_continuous_cached_steps', -1, 10_000),
  { name: 'scm_mask', type: 'string' },
  flag('scm_policy_dynamic'),
]
const TAYLOR: readonly Knob[] = [whole('taylorseer_n_derivatives', 0, 10), whole('taylorseer_skip_interval', 0, 10_000)]

const KNOBS: Record<string, readonly Knob[]> = {
  easycache: TIMED,
  ucache: [...TIMED, share('error_decay_rate'), flag('use_relative_threshold'), flag('reset_error_on_compute')],
  dbcache: BLOCKS,
  taylorseer: [...BLOCKS, ...TAYLOR],
  cache_dit: [...BLOCKS, ...TAYLOR],
  spectrum: [
    share('spectrum_w'),
    whole('spectrum_m', 1, 32),
    { name: 'spectrum_lam', type: 'number', minimum: 0.000001, maximum: 1000 },
    whole('spectrum_window_size', 1, 10_000),
    scale('spectrum_flex_window'),
    whole('spectrum_warmup_steps', 0, 10_000),
    share('spectrum_stop_percent'),
  ],
}

export function knobsOf(mode: unknown): readonly Knob[] {
  return (typeof mode === 'string' && KNOBS[mode]) || []
}

/** Changes one knob; an empty one is left to the library. Without any, there are no options. */
export function turnKnob(options: unknown, name: string, value: unknown): Record<string, unknown> | undefined {
  const next = { ...(typeof options === 'object' && options !== null ? (options as Record<string, unknown>) : {}) }
  if (value === undefined || value === '' || value === null) delete next[name]
  else next[name] = value
  return Object.keys(next).length > 0 ? next : undefined
}

/** Writes the name of a knob as people read it. */
export function nameKnob(name: string): string {
  const words = name.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}
