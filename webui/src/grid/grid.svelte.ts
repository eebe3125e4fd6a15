/** Keeps the comparison that is being set up, starts it, and follows the one that is shown. */
import { api, ask, makeKey, type Schemas } from '../lib/api/client'
import { makeCells, readAxis, type Axis, type AxisSpec } from '../lib/grid/axis'
import type { Values } from '../lib/drafts/draft'
import { drafts } from '../state/drafts.svelte'
import { router } from '../state/router.svelte'
import { server } from '../state/server.svelte'

export type Group = Schemas['GroupShown']

export const MOST_AXES = 3
const GATHER_MS = 250
const LARGEST_SEED = 2 ** 31

class Comparison {
  axes = $state<AxisSpec[]>([])
  /** How many of how many jobs have been handed in; null: none is being started. */
  starting = $state<{ done: number; total: number } | null>(null)

  readonly read = $derived(this.axes.map((spec) => readAxis(spec, String(drafts.active.values.prompt ?? ''))))
  readonly total = $derived(
    this.axes.length === 0 || this.read.some((one) => one.problem)
      ? 0
      : this.read.reduce((product, one) => product * one.values.length, 1),
  )

  /** Starts one job for each cell and shows the comparison. A cell that is refused ends the start, with what was started kept. */
  async start(): Promise<void> {
    const { kind, body } = await drafts.request()
    const axes: Axis[] = this.axes.map((spec, at) => ({
      spec: $state.snapshot(spec) as AxisSpec,
      values: this.read[at]!.values,
    }))
    const id = `grid-${makeKey().slice(0, 12)}`
    const cells = makeCells(body as Values, axes, id, Math.floor(Math.random() * LARGEST_SEED))
    const draftId = drafts.activeId
    this.starting = { done: 0, total: cells.length }
    try {
      for (const cell of cells) {
        await drafts.send(kind, cell.body, draftId)
        this.starting = { done: this.starting.done + 1, total: cells.length }
        if (this.starting.done === 1) openGrid(id)
      }
    } finally {
      this.starting = null
    }
  }
}

export const comparison = new Comparison()

/** Shows a comparison over the page; its address can be shared. */
export function openGrid(id: string): void {
  router.setQuery({ ...router.place.query, grid: id })
}

export function closeGrid(): void {
  const { grid: _grid, ...query } = router.place.query
  router.setQuery(query)
}

/** Follows one comparison while it is shown: asks for it again when a job has ended. */
export class ShownGrid {
  group = $state<Group | null>(null)
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
