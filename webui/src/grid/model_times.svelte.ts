/** Asks the server how long the active draft takes with each of several models, one after the other. */
import { api, ask } from '../lib/api/client'
import type { Draft } from '../lib/drafts/draft'
import { readTime, type ModelTime } from '../lib/grid/times'
import { sketchRequest } from '../lib/settings/request'
import { drafts } from '../state/drafts.svelte'
import { server } from '../state/server.svelte'

const AFTER_MS = 400

export class ModelTimes {
  told = $state.raw<Record<string, ModelTime>>({})

  /** Follows the draft and the models that `names` gives; to be called while a component is made. */
  watch(names: () => readonly string[]): void {
    $effect(() => {
      const models = [...names()]
      const draft = $state.snapshot(drafts.active) as Draft
      if (models.length === 0) return
      const stop = new AbortController()
      const timer = setTimeout(() => void this.fetch(draft, models, stop.signal), AFTER_MS)
      return () => {
        clearTimeout(timer)
        stop.abort()
      }
    })
  }

  private async fetch(draft: Draft, models: readonly string[], stop: AbortSignal): Promise<void> {
    const told: Record<string, ModelTime> = {}
    const { kind, body } = await sketchRequest(draft, server.options)
    const one = kind === 'txt2vid' ? {} : { batch_count: 1 }
    for (const model of models) {
      try {
        const request = { ...body, ...one, model_name: model } as unknown as Record<string, never>
        told[model] = readTime(
          await ask((signal) => api.POST('/estimate', { body: { kind, request }, signal }), { signal: stop }),
        )
      } catch {
        // What would be refused has no time; the start says why.
      }
      if (stop.aborted) return
    }
    this.told = told
  }
}
