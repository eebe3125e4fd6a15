/** Lists the deleted jobs, brings them back, and removes them for good. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { attempt } from '../../state/notices.svelte'

const PER_PAGE = 100

export class Bin {
  shown = $state<Schemas['BinShown'] | null>(null)

  private async load(limit: number = PER_PAGE): Promise<void> {
    const found = await attempt(() =>
      ask((signal) => api.GET('/queue/recycle-bin', { params: { query: { limit } }, signal })),
    )
    if (found) this.shown = found
  }

  showMore(): Promise<void> {
    return this.load((this.shown?.items.length ?? 0) + PER_PAGE)
  }

  /** Asks again for what is shown. */
  refresh(): Promise<void> {
    return this.load(Math.max(PER_PAGE, this.shown?.items.length ?? 0))
  }

  /** Returns whether the job is back. */
  async restore(id: string): Promise<boolean> {
    const params = { path: { job_id: id } }
    return this.change(() => ask((signal) => api.POST('/queue/{job_id}/restore', { params, signal })))
  }

  async purge(id: string): Promise<boolean> {
    const params = { path: { job_id: id } }
    return this.change(() => ask((signal) => api.DELETE('/queue/{job_id}/purge', { params, signal })))
  }

  async empty(): Promise<boolean> {
    return this.change(() => ask((signal) => api.DELETE('/queue/recycle-bin', { signal }), { timeoutMs: 0 }))
  }

  private async change(run: () => Promise<unknown>): Promise<boolean> {
    const done = await attempt(async () => {
      await run()
      return true
    })
    await this.refresh()
    return done ?? false
  }
}
