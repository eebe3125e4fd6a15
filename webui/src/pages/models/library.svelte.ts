/** The model files that the server has, and their cards: asked for when a page shows them, kept fresh by events. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { errorOfThrown, type ApiError } from '../../lib/api/errors'
import { t } from '../../lib/i18n'
import { fileOf, flattenModels, idOf } from '../../lib/models/catalog'
import type { ModelFile, ModelType } from '../../lib/models/types'
import { attempt, notices } from '../../state/notices.svelte'
import { server } from '../../state/server.svelte'

export type Card = Schemas['CardShown']
type Named = Pick<ModelFile, 'type' | 'name'>

/** So many cards are asked for at a time; the rest waits, so that a list of hundreds floods nothing. */
const CARDS_AT_ONCE = 3

class Library {
  files = $state.raw<ModelFile[]>([])
  phase = $state<'new' | 'ready' | 'failed'>('new')
  problem = $state.raw<ApiError | null>(null)
  paths = $state.raw<Schemas['ModelPaths'] | null>(null)
  cards = $state<Record<string, Card>>({})
  /** Whether the server looks through its folders now, because the user asked for that. */
  isLooking = $state(false)
  controlNet = $state.raw<Schemas['ControlNetStatus'] | null>(null)

  private users = 0
  private stop: () => void = () => undefined
  private waiting: Named[] = []
  private asked = new Set<string>()
  private busy = 0

  /** Begins to keep the list fresh; returns what ends that. */
  start(): () => void {
    if (this.users++ === 0) {
      void this.reload()
      this.stop = server.listen((want) => {
        if (want.what !== 'models' && want.what !== 'model') return
        // Cards are asked for anew of files that are still there, so after the list.
        void this.reload().then(() => want.what === 'models' && this.forgetCards())
      })
    }
    return () => {
      if (--this.users === 0) this.stop()
    }
  }

  async reload(): Promise<void> {
    try {
      const [shown, controlNet] = await Promise.all([
        ask((signal) => api.GET('/models', { signal })),
        ask((signal) => api.GET('/controlnet/status', { signal })),
      ])
      this.files = flattenModels(shown)
      this.controlNet = controlNet
      this.phase = 'ready'
    } catch (thrown) {
      this.problem = errorOfThrown(thrown)
      if (this.phase === 'new') this.phase = 'failed'
    }
  }

  /** Has the server look through its folders again, and tells what is there. */
  async rescan(): Promise<void> {
    this.isLooking = true
    await attempt(async () => {
      const found = await ask((signal) => api.POST('/models/refresh', { signal }), { timeoutMs: 120_000 })
      this.files = flattenModels(found.models)
      this.forgetCards()
      notices.tell([t.models.foundFiles(found.total), ...(found.warnings ?? [])].join(' '))
    })
    this.isLooking = false
  }

  async fetchPaths(): Promise<Schemas['ModelPaths']> {
    this.paths ??= await ask((signal) => api.GET('/models/paths', { signal }))
    return this.paths
  }

  find(id: { type: ModelType; name: string } | null): ModelFile | undefined {
    return id ? this.files.find((file) => file.type === id.type && file.name === id.name) : undefined
  }

  cardOf(file: Named): Card | undefined {
    return this.cards[idOf(file)]
  }

  titleOf(file: Named): string {
    return this.cardOf(file)?.title || fileOf(file.name)
  }

  /** Asks for a card when its turn comes, once. */
  wantCard(file: Named): void {
    const id = idOf(file)
    if (this.asked.has(id)) return
    this.asked.add(id)
    this.waiting.push({ type: file.type, name: file.name })
    void this.work()
  }

  async fetchCard(file: Named): Promise<Card> {
    const card = await ask((signal) =>
      api.GET('/models/{model_type}/{model_name}/card', { params: { path: pathOf(file) }, signal }),
    )
    this.takeCard(file, card)
    return card
  }

  takeCard(file: Named, card: Card): void {
    this.asked.add(idOf(file))
    this.cards[idOf(file)] = card
  }

  /** Cards that are shown stay until the new ones are there. */
  private forgetCards(): void {
    const known = [...this.asked]
    this.asked.clear()
    for (const file of this.files) if (known.includes(idOf(file))) this.wantCard(file)
  }

  private async work(): Promise<void> {
    while (this.busy < CARDS_AT_ONCE) {
      const file = this.waiting.shift()
      if (!file) return
      this.busy += 1
      void this.fetchCard(file)
        .catch(() => undefined)
        .finally(() => {
          this.busy -= 1
          void this.work()
        })
    }
  }
}

/** The parts of a model's address. */
export function pathOf(file: Named): { model_type: string; model_name: string } {
  return { model_type: file.type, model_name: file.name }
}

export const library = new Library()
