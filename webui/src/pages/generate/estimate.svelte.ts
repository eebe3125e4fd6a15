/** Asks the server what the active draft takes, in memory and in time, a moment after each change. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { errorOfThrown } from '../../lib/api/errors'
import type { Draft } from '../../lib/drafts/draft'
import { missingPicture } from '../../lib/settings/modes'
import { fieldOfPath, sketchRequest } from '../../lib/settings/request'
import { findMarks, isUnknown } from '../../lib/prompt/marks'
import { library } from '../../prompt/library.svelte'
import { drafts } from '../../state/drafts.svelte'
import { server } from '../../state/server.svelte'
import { form } from './form.svelte'

const AFTER_MS = 400

class Estimate {
  shown = $state.raw<Schemas['EstimateShown'] | null>(null)
  /** Why the queue would refuse it. */
  private refusal = $state.raw<{ field: string; message: string } | null>(null)

  /** What the queue would say of a field; null: nothing. */
  problemOf(field: string): string | null {
    return this.refusal?.field === field ? this.refusal.message : null
  }

  /** Follows the active draft; to be called while a component is made. */
  watch(): void {
    $effect(() => {
      const draft = $state.snapshot(drafts.active) as Draft
      // Another model, and every job that was timed, change the answer, too.
      const asked = [server.preset, server.model, server.counts?.completed_count]
      // The prompt box tells an unknown name itself; the server would only refuse it.
      const names = findMarks(String(draft.values.prompt ?? ''))
      const hasUnknown = names.some((one) => isUnknown(one, library.known))
      if (!asked[1] || hasUnknown || missingPicture(draft) || form.firstProblem() || server.isAway) {
        this.clear()
        return
      }
      const stop = new AbortController()
      const timer = setTimeout(() => void this.fetch(draft, stop.signal), AFTER_MS)
      return () => {
        clearTimeout(timer)
        stop.abort()
      }
    })
  }

  private clear(): void {
    this.shown = null
    this.refusal = null
  }

  private async fetch(draft: Draft, stop: AbortSignal): Promise<void> {
    try {
      const { kind, body } = await sketchRequest(draft, server.options)
      const shown = await ask(
        (signal) => api.POST('/estimate', { body: { kind, request: body as Record<string, never> }, signal }),
        { signal: stop },
      )
      if (stop.aborted) return
      this.shown = shown
      this.refusal = null
    } catch (thrown) {
      if (stop.aborted) return
      this.clear()
      const { field, message } = errorOfThrown(thrown)
      if (field) this.refusal = { field: fieldOfPath(field), message }
    }
  }
}

export const estimate = new Estimate()
