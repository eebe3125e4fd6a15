/** Follows the comparison that is shown, and does with it what people do. */
import { api, ask, type Schemas } from '../lib/api/client'
import type { Job } from '../lib/events/apply'
import { router } from '../state/router.svelte'
import { server } from '../state/server.svelte'

const GATHER_MS = 250

export function closeGrid(): void {
  const { grid: _grid, ...query } = router.place.query
  router.setQuery(query)
}

/** Follows one comparison while it is shown: asks for it again when a job has ended. */
export class ShownGrid {
  group = $state<Schemas['GroupShown'] | null>(null)
  problem = $state('')
  readonly id: string
  private timer: ReturnType<typeof setTimeout> | null = null
  private readonly given = new AbortController()
  private readonly stop: () => void

  constructor(id: string) {
    this.id = id
    this.stop = server.listen((want) => {
      if (want.what === 'ended' || want.what === 'job' || want.what === 'gallery')
        this.timer ??= setTimeout(() => void this.load(), GATHER_MS)
    })
    void this.load()
  }

  close(): void {
    this.stop()
    this.given.abort()
    if (this.timer) clearTimeout(this.timer)
  }

  /** The job of a cell; of several the latest. */
  cell(at: readonly number[]): Schemas['CellShown'] | undefined {
    return this.group?.jobs.findLast(
      (job) => job.cell.length === at.length && job.cell.every((one, axis) => one === at[axis]),
    )
  }

  /** Finds the gallery's numbers of all pictures that were drawn, in the order of the cells. */
  async findPictures(): Promise<number[]> {
    const ids: number[] = []
    for (const job of this.group?.jobs ?? []) {
      if (job.status !== 'completed') continue
      const found = await ask((signal) => api.GET('/gallery', { params: { query: { job_id: job.job_id } }, signal }), {
        signal: this.given.signal,
      })
      ids.push(...found.items.map((one) => one.id))
    }
    return ids
  }

  private async load(): Promise<void> {
    this.timer = null
    try {
      this.group = await ask(
        (signal) => api.GET('/groups/{group_id}', { params: { path: { group_id: this.id } }, signal }),
        { signal: this.given.signal },
      )
      this.problem = ''
    } catch (thrown) {
      const error = thrown as { code?: string; message: string }
      if (error.code !== 'aborted') this.problem = error.message
    }
  }
}

/** Ends all jobs of a comparison that have not ended. */
export function cancelGrid(id: string): Promise<unknown> {
  return ask((signal) => api.POST('/groups/{group_id}/cancel', { params: { path: { group_id: id } }, signal }))
}

/** Fetches the contact sheet as a file. */
export function fetchSheet(id: string, layer: number): Promise<Blob> {
  return ask(
    (signal) =>
      api.POST('/groups/{group_id}/sheet', {
        params: { path: { group_id: id } },
        body: { layer },
        parseAs: 'blob',
        signal,
      }) as never,
    { timeoutMs: 120_000 },
  )
}

/** Loads the model that has drawn a job, with the parts and options that it had then. What waits keeps its own. */
export function loadModelOf(settings: NonNullable<Job['model_settings']>): Promise<unknown> {
  const { model_name, model_type, loaded_components: parts, load_options: options } = settings
  const body = { model_name, model_type, ...(parts as object), options } as Schemas['LoadBody']
  return ask((signal) => api.POST('/models/load', { body, signal }), { timeoutMs: 0 })
}
