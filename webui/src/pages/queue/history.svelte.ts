/** Lists the jobs that have ended, page by page, and keeps the list up to date while it is looked at. */
import { api, ask } from '../../lib/api/client'
import { ApiError, errorOfThrown } from '../../lib/api/errors'
import { isEnded, type Job } from '../../lib/events/apply'
import { askWith, type Filters } from '../../lib/jobs/filters'
import { server } from '../../state/server.svelte'

const PER_PAGE = 50
/** So many rows are shown at most; older ones are found by the filters. */
const MOST = 200
/** Many jobs that end at once are asked for once. */
const GATHER_MS = 250

export class History {
  items = $state<Job[]>([])
  /** How many there are in all. */
  total = $state(0)
  isLoading = $state(true)
  problem = $state<ApiError | null>(null)
  readonly hidden = $derived(Math.max(0, this.total - this.items.length))
  readonly canShowMore = $derived(this.hidden > 0 && this.items.length < MOST)

  private filters: Filters = { status: '', kind: '', text: '', model: '' }
  private call: AbortController | null = null
  private waiting: ReturnType<typeof setTimeout> | null = null

  /** Lists what passes `filters`, from the newest on. */
  async show(filters: Filters): Promise<void> {
    this.filters = filters
    this.items = []
    await this.load(PER_PAGE)
  }

  /** Shows older ones, too. */
  async showMore(): Promise<void> {
    await this.load(Math.min(MOST, this.items.length + PER_PAGE))
  }

  /** Asks again for what is shown. */
  async refresh(): Promise<void> {
    await this.load(Math.max(PER_PAGE, Math.min(MOST, this.items.length)))
  }

  /** Follows what happens; returns what ends that. */
  follow(): () => void {
    const stop = server.listen((want) => {
      if (want.what === 'ended' || want.what === 'gallery')
        this.waiting ??= setTimeout(() => {
          this.waiting = null
          void this.refresh()
        }, GATHER_MS)
    })
    return () => {
      stop()
      this.call?.abort()
      if (this.waiting) clearTimeout(this.waiting)
    }
  }

  private async load(limit: number): Promise<void> {
    this.call?.abort()
    const call = (this.call = new AbortController())
    this.isLoading = true
    try {
      const query = { ...askWith(this.filters), sort: 'created_at' as const, limit }
      const found = await ask((signal) => api.GET('/queue', { params: { query }, signal }), { signal: call.signal })
      const { model } = this.filters
      const items = (found.items as Job[]).filter((one) => isEnded(one.status))
      this.items = model ? items.filter((one) => one.model === model) : items
      this.total = model && !found.has_more ? this.items.length : (found.filtered_count ?? this.items.length)
      this.problem = null
    } catch (thrown) {
      const error = errorOfThrown(thrown)
      if (error.code !== 'aborted') this.problem = error
    } finally {
      if (call === this.call) this.isLoading = false
    }
  }
}
