/** Keeps the comparison that is being set up, and starts it. */
import { makeKey } from '../lib/api/client'
import { makeCells, readAxis, type Axis, type AxisSpec } from '../lib/grid/axis'
import type { Values } from '../lib/drafts/draft'
import { drafts } from '../state/drafts.svelte'
import { router } from '../state/router.svelte'

export const MOST_AXES = 3
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

  /** Starts one job for each cell of what is set up, and shows the comparison. */
  async start(): Promise<void> {
    await this.draw(
      this.axes.map((spec, at) => ({ spec: $state.snapshot(spec) as AxisSpec, values: this.read[at]!.values })),
    )
  }

  /** Starts the draft once with each of these models, in their order, and shows the pictures beside each other. */
  async startWithModels(names: readonly string[]): Promise<void> {
    await this.draw([{ spec: { field: 'model_name', kind: 'model', text: '' }, values: [...names] }])
  }

  /** Starts one job for each cell. A cell that is refused ends the start, with what was started kept. */
  private async draw(axes: readonly Axis[]): Promise<void> {
    const { kind, body } = await drafts.request()
    const id = `grid-${makeKey().slice(0, 12)}`
    const cells = makeCells(body as Values, axes, id, Math.floor(Math.random() * LARGEST_SEED))
    const draftId = drafts.activeId
    this.starting = { done: 0, total: cells.length }
    try {
      for (const { body: request } of cells) {
        // Videos come one at a time, and are looked at one by one.
        if (kind === 'txt2vid') delete request.batch_count
        await drafts.send(kind, request, draftId)
        this.starting = { done: this.starting.done + 1, total: cells.length }
        if (this.starting.done === 1 && kind !== 'txt2vid') openGrid(id)
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
