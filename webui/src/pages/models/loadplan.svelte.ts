/** What a model is about to be loaded with: its parts, its options, and whether that fits. */
import type { Schemas } from '../../lib/api/client'
import { errorOfThrown, type ApiError } from '../../lib/api/errors'
import { neededWith, readFit, verdictFor, type Fit } from '../../lib/models/fit'
import {
  buildLoadBody,
  chooseParts,
  listRoles,
  missingParts,
  partsForFit,
  type Chosen,
  type Role,
} from '../../lib/models/roles'
import type { ModelFile } from '../../lib/models/types'
import { describeLoadOptions, detectModel, fitModel, inspectModel } from './changes'
import { library } from './library.svelte'

export class LoadPlan {
  readonly file: ModelFile
  phase = $state<'asking' | 'ready'>('asking')
  detection = $state.raw<Schemas['DetectionShown'] | null>(null)
  problem = $state.raw<ApiError | null>(null)
  descriptions = $state.raw<Record<string, Schemas['OptionShown']>>({})
  chosen = $state<Chosen>({})
  /** Only what differs from the defaults. */
  options = $state<Record<string, unknown>>({})
  fit = $state.raw<Fit | null>(null)
  isFitting = $state(false)

  readonly roles = $derived(listRoles(this.detection, library.files))
  readonly missing = $derived(missingParts(this.roles, this.chosen))
  readonly neededBytes = $derived(this.fit ? neededWith(this.fit, (option) => this.taken(option)) : 0)
  readonly verdict = $derived(this.fit ? verdictFor(this.fit, this.neededBytes) : null)

  constructor(file: ModelFile) {
    this.file = file
  }

  /** Asks what the file is and what its notes say; what cannot be told is left to the user. */
  async start(signal: AbortSignal): Promise<void> {
    const options = { signal, timeoutMs: 120_000 }
    const [detected, told, described] = await Promise.allSettled([
      detectModel(this.file, options),
      inspectModel(this.file, options),
      describeLoadOptions(options),
    ])
    if (signal.aborted) return
    if (detected.status === 'fulfilled') this.detection = detected.value
    else this.problem = errorOfThrown(detected.reason)
    if (described.status === 'fulfilled') this.descriptions = described.value.options
    const sidecar = told.status === 'fulfilled' ? told.value.sidecar : null
    this.options = { ...sidecar?.load_options }
    this.chosen = chooseParts(this.roles, sidecar?.components)
    this.phase = 'ready'
  }

  /** Estimates anew, for the parts that are chosen now. */
  async estimate(signal: AbortSignal): Promise<void> {
    this.isFitting = true
    try {
      const weights = typeof this.options.weight_type === 'string' ? this.options.weight_type : ''
      this.fit = readFit(await fitModel(this.file, partsForFit(this.chosen), weights, { signal }))
    } catch (thrown) {
      if (errorOfThrown(thrown).code !== 'aborted') this.fit = null
    } finally {
      if (!signal.aborted) this.isFitting = false
    }
  }

  /** What is sent to load it. */
  body(): Schemas['LoadBody'] {
    return $state.snapshot(buildLoadBody(this.file, this.chosen, this.options)) as Schemas['LoadBody']
  }

  choosePart(role: Role, name: string): void {
    if (name) this.chosen[role] = name
    else delete this.chosen[role]
  }

  setOption(name: string, value: unknown): void {
    if (value === undefined || value === '') delete this.options[name]
    else this.options[name] = value
  }

  /** Whether an advice is a load option, so that it can be taken here. */
  canTake(option: string): boolean {
    return option in this.descriptions
  }

  /** The value of an option that an advice names. Weights are in the estimate already. */
  private taken(option: string): unknown {
    return option === 'weight_type' ? undefined : this.options[option]
  }
}
