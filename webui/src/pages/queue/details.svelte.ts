/** Asks for all that is known of one job, and for the engine's last words where it failed. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { errorOfThrown } from '../../lib/api/errors'
import type { Job } from '../../lib/events/apply'
import { attempt } from '../../state/notices.svelte'
import { server } from '../../state/server.svelte'

const LINES = 60

export class Details {
  job = $state<Job | null>(null)
  isGone = $state(false)
  log = $state<string[]>([])

  async load(id: string): Promise<void> {
    this.job = server.jobs[id] ?? null
    this.isGone = false
    this.log = []
    try {
      const path = { job_id: id }
      this.job = (await ask((signal) => api.GET('/queue/{job_id}', { params: { path }, signal }))) as Job
    } catch (thrown) {
      if (errorOfThrown(thrown).status === 404) this.isGone = true
      else await attempt(() => Promise.reject(errorOfThrown(thrown)))
      return
    }
    if (this.job.status !== 'failed') return
    const query = { tail: LINES, engine: this.job.engine ?? '' }
    try {
      // The same address answers plain text to those who ask for it; here it is always JSON.
      const told = await ask((signal) => api.GET('/logs/engine', { params: { query }, signal }))
      this.log = (told as Schemas['LogShown']).lines
    } catch (thrown) {
      // An engine that has left with its machine, or does not answer, has no last words.
      if (![400, 503].includes(errorOfThrown(thrown).status)) await attempt(() => Promise.reject(errorOfThrown(thrown)))
    }
  }
}
