/** Keeps the drafts: what is typed and chosen, saved as one goes on, and what becomes of it when it is started. */
import { api, ask, makeKey, submitOnce, type Schemas } from '../lib/api/client'
import {
  buildRequest,
  defaultOf,
  KIND_OF_MODE,
  makeDraft,
  valueOf,
  type BuiltRequest,
  type Draft,
  type Mode,
  type Values,
} from '../lib/drafts/draft'
import { DraftStorage } from '../lib/drafts/storage'
import type { Job } from '../lib/events/apply'
import { server } from './server.svelte'

const SAVE_AFTER_MS = 250

class Drafts {
  all = $state<Draft[]>([makeDraft('first')])
  activeId = $state('first')
  /** Jobs that each draft has started in this visit, newest first. */
  started = $state<Record<string, string[]>>({})
  readonly active = $derived(this.all.find((one) => one.id === this.activeId) ?? this.all[0]!)
  readonly kind = $derived(KIND_OF_MODE[this.active.mode])

  private readonly storage = new DraftStorage()
  private saving = new Map<string, ReturnType<typeof setTimeout>>()
  private canSave = true

  /** Reads what was kept. Where the browser keeps nothing (a private window), drafts live as long as the page. */
  async start(): Promise<void> {
    try {
      const { drafts, active } = await this.storage.load()
      if (drafts.length > 0) {
        this.all = drafts
        this.activeId = drafts.some((one) => one.id === active) ? active! : drafts[0]!.id
      }
    } catch {
      this.canSave = false
    }
    // What is typed just before the page is left is saved, too.
    addEventListener('pagehide', () => this.saveNow())
    document.addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && this.saveNow())
  }

  /** What a field is in the active draft. */
  value(field: string): unknown {
    return valueOf(this.active, field, server.options, server.preset)
  }

  defaultValue(field: string): unknown {
    return defaultOf(field, this.kind, server.options, server.preset)
  }

  /** Whether a field differs from its default. A draft of another model holds all of its values. */
  isChanged(field: string): boolean {
    const { values } = this.active
    return field in values && JSON.stringify(values[field]) !== JSON.stringify(this.defaultValue(field))
  }

  /** Sets a field; what equals the default is no change. The prompt is always kept. */
  set(field: string, value: unknown): void {
    if (field !== 'prompt' && JSON.stringify(value) === JSON.stringify(this.defaultValue(field)))
      delete this.active.values[field]
    else this.active.values[field] = value
    this.save()
  }

  reset(...fields: string[]): void {
    for (const field of fields) delete this.active.values[field]
    this.save()
  }

  setMode(mode: Mode): void {
    this.active.mode = mode
    this.save()
  }

  /** Changes the active draft by `change` and saves it. */
  change(change: (draft: Draft) => void): void {
    change(this.active)
    this.save()
  }

  /** Notes parts of the active draft; returns what brings them back, whichever draft is shown by then. */
  remember(...parts: ('mode' | 'values' | 'inputs' | 'keepsSeed')[]): () => void {
    const { active } = this
    const { id } = active
    const before = Object.fromEntries(parts.map((part) => [part, $state.snapshot(active[part])]))
    return () => {
      const draft = this.all.find((one) => one.id === id)
      if (!draft) return
      Object.assign(draft, before)
      this.save(draft)
    }
  }

  /** Opens a new draft, empty or with what is given, and shows it. */
  open(from: Partial<Pick<Draft, 'name' | 'mode' | 'values' | 'inputs' | 'keepsSeed'>> = {}): Draft {
    const draft = { ...makeDraft(makeKey()), ...from }
    this.all = [...this.all, draft]
    this.show(draft.id)
    this.save()
    return this.active
  }

  show(id: string): void {
    this.activeId = id
    if (this.canSave) void this.storage.saveActive(id).catch(() => undefined)
  }

  /** Closes a draft; returns what brings it back. The last one becomes an empty one. */
  close(id: string): () => void {
    const at = this.all.findIndex((one) => one.id === id)
    const closed = this.all[at]
    if (!closed) return () => undefined
    const rest = this.all.filter((one) => one.id !== id)
    this.all = rest.length > 0 ? rest : [makeDraft(makeKey())]
    if (this.activeId === id) this.show(this.all[Math.min(at, this.all.length - 1)]!.id)
    if (this.canSave) void this.storage.remove(id).catch(() => undefined)
    return () => {
      this.all = [...this.all.slice(0, at), closed, ...this.all.slice(at)]
      this.show(id)
      this.save()
    }
  }

  /** Replaces the settings of the active draft (prompt and pictures as far as given). */
  take(values: Values, options: { mode?: Mode; merge?: boolean } = {}): void {
    this.change((draft) => {
      draft.values = options.merge ? { ...draft.values, ...values } : { ...values }
      if (options.mode) draft.mode = options.mode
    })
  }

  /** Makes the request of a draft, as it would be sent. */
  request(draft: Draft = this.active): Promise<BuiltRequest> {
    return buildRequest($state.snapshot(draft) as Draft, server.options, encodeFile)
  }

  /**
   * Starts the active draft. `overrides` change the request alone (another seed). A connection that breaks meanwhile
   * never draws twice.
   */
  async submit(overrides: Values = {}, options: { isFirst?: boolean } = {}): Promise<Job> {
    const draft = this.active
    const { kind, body } = await this.request()
    return this.send(kind, { ...body, ...overrides }, draft.id, options)
  }

  /** Sends a request that is made already. */
  async send(
    kind: BuiltRequest['kind'] | 'upscale',
    body: Values,
    draftId: string = this.activeId,
    options: { isFirst?: boolean } = {},
  ): Promise<Job> {
    const accepted = (await submitOnce(
      (key, signal) =>
        api.POST(`/${kind}` as '/txt2img', {
          body: body as never,
          headers: { 'Idempotency-Key': key },
          signal,
        }) as never,
      () => server.untilBack(),
      { timeoutMs: 120_000 },
    )) as Schemas['Accepted']
    this.started[draftId] = [accepted.job_id, ...(this.started[draftId] ?? [])].slice(0, 50)
    if (options.isFirst)
      await ask((signal) =>
        api.POST('/queue/{job_id}/front', { params: { path: { job_id: accepted.job_id } }, signal }),
      )
    return await server.fetchJob(accepted.job_id)
  }

  save(draft: Draft = this.active): void {
    if (!this.canSave) return
    const waiting = this.saving.get(draft.id)
    if (waiting) clearTimeout(waiting)
    this.saving.set(
      draft.id,
      setTimeout(() => this.write(draft.id), SAVE_AFTER_MS),
    )
  }

  private saveNow(): void {
    for (const [id, timer] of this.saving) {
      clearTimeout(timer)
      this.write(id, true)
    }
  }

  private write(id: string, isLeft = false): void {
    this.saving.delete(id)
    const at = this.all.findIndex((one) => one.id === id)
    if (at < 0) return
    const draft = $state.snapshot(this.all[at]) as Draft
    if (isLeft) this.storage.saveAtEnd(at, draft)
    else void this.storage.save(at, draft).catch(() => undefined)
  }
}

/** Makes base64 of a file, off the main thread as far as the browser does that. */
export function encodeFile(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(String(reader.result).replace(/^data:[^,]*,/, ''))
    reader.onerror = () => reject(reader.error ?? new Error('The file could not be read'))
    reader.readAsDataURL(blob)
  })
}

export const drafts = new Drafts()
