/**
 * Keeps the page's picture of the server: `GET /ui/bootstrap`, then every event. The one place that knows what the
 * server does; components read it, and call its methods. Nothing of it is kept in the browser.
 */
import type { components } from '../api'
import { api, ask, onSignedOut, type Schemas } from '../lib/api/client'
import { ApiError, errorOfThrown } from '../lib/api/errors'
import { socketUrl } from '../lib/address'
import { applyEvent, isEnded, type Job, type Picture, type Preview, type View, type Want } from '../lib/events/apply'
import { EventFeed, type SocketLike } from '../lib/events/feed'

export type Phase = 'starting' | 'ready' | 'signed-out' | 'refused' | 'failed'

const LATEST = 24
/** A short break is nobody's business; a longer one is told. */
const AWAY_AFTER_MS = 2_000
/** Many jobs that come at once are asked for in one list. */
const GATHER_MS = 120
const ONE_BY_ONE = 6

type Listener = (want: Want) => void

class Server implements View {
  phase = $state<Phase>('starting')
  /** Why the page cannot begin (`failed`), or the server refuses this address (`refused`). */
  problem = $state<ApiError | null>(null)
  /** Whether the server cannot be reached for longer than a moment. */
  isAway = $state(false)
  /** Whether the server now is of another version than this page was made for. */
  isOtherVersion = $state(false)

  health = $state<View['health']>(null)
  counts = $state<View['counts']>(null)
  jobs = $state<Record<string, Job>>({})
  previews = $state<Record<string, Preview>>({})
  heard = $state<Record<string, number>>({})
  loading = $state<View['loading']>(null)

  session = $state<Schemas['SessionShown'] | null>(null)
  versions = $state<Schemas['Versions'] | null>(null)
  options = $state.raw<Schemas['GenerationOptions'] | null>(null)
  preset = $state.raw<Schemas['PresetShown'] | null>(null)
  models = $state.raw<Schemas['ModelNames'] | null>(null)
  upscalers = $state.raw<string[]>([])
  preferences = $state<Record<string, unknown>>({})
  previewSettings = $state<Schemas['PreviewShown'] | null>(null)
  limits = $state.raw<Record<string, number>>({})
  /** The newest pictures, newest first. */
  latest = $state<Picture[]>([])

  /** Jobs that wait, in the order in which they will run. */
  readonly waiting = $derived(
    Object.values(this.jobs)
      .filter((job) => job.status === 'pending')
      .sort((a, b) => (a.position ?? Infinity) - (b.position ?? Infinity) || a.created_at.localeCompare(b.created_at)),
  )
  readonly running = $derived(Object.values(this.jobs).filter((job) => job.status === 'processing'))
  /** Jobs that have ended since the page was opened, newest first. */
  readonly ended = $derived(
    Object.values(this.jobs)
      .filter((job) => isEnded(job.status))
      .sort((a, b) => (b.completed_at ?? '').localeCompare(a.completed_at ?? '')),
  )
  /** The model that jobs are drawn with which name none; another one may be loaded for a job that names it. */
  readonly model = $derived(this.health?.selected_model_name ?? this.health?.model_name ?? '')
  readonly isBusy = $derived(this.running.length + this.waiting.length > 0)

  private listeners = new Set<Listener>()
  private wantedJobs = new Set<string>()
  private wantsQueue = false
  private gathering: ReturnType<typeof setTimeout> | null = null
  private awayTimer: ReturnType<typeof setTimeout> | null = null
  private readonly feed = new EventFeed({
    open: (since, epoch) => new WebSocket(socketUrl(since, epoch)) as unknown as SocketLike,
    onEvent: (event) => {
      for (const want of applyEvent(this, event)) this.meet(want)
    },
    onResync: () => void this.reload(),
    onLink: (link) => this.noteLink(link),
  })

  /** Begins: asks for everything once and listens from there on. */
  async start(): Promise<void> {
    onSignedOut(() => {
      if (this.phase === 'ready') this.phase = 'signed-out'
    })
    addEventListener('online', () => this.feed.nudge())
    addEventListener('focus', () => this.feed.nudge())
    document.addEventListener('visibilitychange', () => this.feed.nudge())
    await this.begin()
  }

  /** Asks for everything, after signing in or when the first attempt failed. */
  async begin(): Promise<void> {
    this.phase = 'starting'
    this.problem = null
    try {
      const told = await this.fetchAll()
      this.phase = 'ready'
      this.feed.start(told.seq, told.epoch)
    } catch (thrown) {
      const error = errorOfThrown(thrown)
      this.problem = error
      this.phase = error.status === 401 ? 'signed-out' : error.status === 403 ? 'refused' : 'failed'
    }
  }

  /** Asks for everything anew: what was missed is not kept any more, or the server is another one. */
  private async reload(): Promise<void> {
    try {
      await this.fetchAll()
      this.tell({ what: 'gallery' })
      this.tell({ what: 'models' })
    } catch (thrown) {
      const error = errorOfThrown(thrown)
      if (error.status === 401) this.phase = 'signed-out'
      else setTimeout(() => void this.reload(), 2_000)
    }
  }

  private async fetchAll(): Promise<Schemas['Bootstrap']> {
    const [told, active, latest] = await Promise.all([
      ask((signal) => api.GET('/ui/bootstrap', { signal })),
      ask((signal) =>
        api.GET('/queue', { params: { query: { status: ['pending', 'processing'], limit: 200 } }, signal }),
      ),
      ask((signal) => api.GET('/gallery', { params: { query: { limit: LATEST } }, signal })),
    ])
    this.isOtherVersion = this.versions !== null && this.versions.server !== told.versions.server
    if (!this.isOtherVersion) this.versions = told.versions
    this.session = told.session
    this.health = told.health
    this.counts = told.queue
    this.previews = {}
    this.heard = {}
    this.loading = null
    this.latest = latest.items
    const ended = Object.values(this.jobs).filter((job) => isEnded(job.status))
    const now = [...ended, ...itemsOf(active), ...told.running]
    // What was active here and is on neither list now has ended while nobody listened.
    const lost = Object.values(this.jobs).filter(
      (job) => !isEnded(job.status) && !now.some((one) => one.job_id === job.job_id),
    )
    this.jobs = Object.fromEntries(now.map((job) => [job.job_id, job]))
    for (const job of lost) this.meet({ what: 'job', id: job.job_id })
    this.takeSettings(told)
    return told
  }

  private takeSettings(told: Schemas['Bootstrap']): void {
    this.options = told.options
    this.preset = told.current_preset
    this.models = told.models
    this.upscalers = told.upscalers
    this.preferences = told.preferences
    this.previewSettings = told.preview
    this.limits = told.limits
  }

  /** Resolves when the server can be reached; at once where it can. */
  untilBack(): Promise<void> {
    return new Promise((resolve) => {
      const look = async (): Promise<void> => {
        try {
          await ask((signal) => api.GET('/session', { signal }), { timeoutMs: 5_000 })
          this.feed.nudge()
          resolve()
        } catch {
          this.noteLink('lost')
          setTimeout(() => void look(), 1_000)
        }
      }
      void look()
    })
  }

  /** The name of a model that is here and not the chosen one; else nothing. */
  otherModel(name: string | null | undefined): string {
    const isHere = name && [this.models?.checkpoints, this.models?.diffusion_models].some((all) => all?.includes(name))
    return isHere && name !== this.model ? name : ''
  }

  /** Calls `listener` for everything that is to be asked for after an event. Returns what ends that. */
  listen(listener: Listener): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** Takes a job into the picture at once, from the answer that made it. */
  takeJob(job: Job): void {
    const known = this.jobs[job.job_id]
    // What an event has told already is newer than an answer that was on its way.
    if (known && isEnded(known.status) && !isEnded(job.status)) return
    this.jobs[job.job_id] = job
  }

  /** Asks for a job and returns it, as the server knows it now. */
  async fetchJob(id: string): Promise<Job> {
    const job = await ask((signal) => api.GET('/queue/{job_id}', { params: { path: { job_id: id } }, signal }))
    this.takeJob(job as Job)
    return job as Job
  }

  /** Saves preferences of this page, on the server, so that they follow the user. */
  async savePreferences(changes: Record<string, unknown>): Promise<void> {
    Object.assign(this.preferences, changes)
    const saved = await ask((signal) => api.PUT('/settings/preferences', { body: changes as never, signal }))
    this.preferences = saved.settings as Record<string, unknown>
  }

  private meet(want: Want): void {
    if (want.what === 'job') this.wantedJobs.add(want.id)
    else if (want.what === 'queue') this.wantsQueue = true
    else if (want.what === 'pictures') void this.fetchPictures(want.jobId)
    else if (want.what === 'model' || want.what === 'models') void this.fetchSettings()
    else if (want.what === 'gallery') void this.fetchLatest()
    if (this.wantedJobs.size > 0 || this.wantsQueue)
      this.gathering ??= setTimeout(() => void this.fetchWanted(), GATHER_MS)
    this.tell(want)
  }

  private tell(want: Want): void {
    for (const listener of this.listeners) listener(want)
  }

  private async fetchWanted(): Promise<void> {
    this.gathering = null
    const ids = [...this.wantedJobs]
    const all = this.wantsQueue || ids.length > ONE_BY_ONE
    this.wantedJobs.clear()
    this.wantsQueue = false
    try {
      if (all) {
        const active = await ask((signal) =>
          api.GET('/queue', { params: { query: { status: ['pending', 'processing'], limit: 1000 } }, signal }),
        )
        for (const job of itemsOf(active)) this.takeJob(job)
      }
      const known = ids.filter((id) => !all || isEnded(this.jobs[id]?.status ?? 'completed'))
      await Promise.all(
        known.map((id) =>
          this.fetchJob(id).catch((thrown: unknown) => {
            if (errorOfThrown(thrown).status === 404) delete this.jobs[id]
          }),
        ),
      )
    } catch {
      // The link is gone; after it is back everything is asked for, or told again.
    }
  }

  private async fetchPictures(jobId: string): Promise<void> {
    try {
      const found = await ask((signal) =>
        api.GET('/gallery', { params: { query: { job_id: jobId, limit: 100 } }, signal }),
      )
      const ids = new Set(found.items.map((one) => one.id))
      this.latest = [...found.items, ...this.latest.filter((one) => !ids.has(one.id))]
        .sort((a, b) => b.created_at.localeCompare(a.created_at) || a.index - b.index)
        .slice(0, Math.max(LATEST, found.items.length))
    } catch {
      // As above.
    }
  }

  private async fetchLatest(): Promise<void> {
    try {
      this.latest = (await ask((signal) => api.GET('/gallery', { params: { query: { limit: LATEST } }, signal }))).items
    } catch {
      // As above.
    }
  }

  private async fetchSettings(): Promise<void> {
    try {
      const told = await ask((signal) => api.GET('/ui/bootstrap', { signal }))
      this.health = told.health
      this.takeSettings(told)
    } catch {
      // As above.
    }
  }

  private noteLink(link: 'open' | 'lost'): void {
    if (link === 'open') {
      if (this.awayTimer) clearTimeout(this.awayTimer)
      this.awayTimer = null
      this.isAway = false
    } else {
      this.awayTimer ??= setTimeout(() => {
        this.isAway = true
      }, AWAY_AFTER_MS)
    }
  }
}

function itemsOf(listing: { items?: unknown }): Job[] {
  return (listing.items ?? []) as Job[]
}

export const server = new Server()
export type ModelNames = components['schemas']['ModelNames']
