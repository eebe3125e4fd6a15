/**
 * Gets a model with everything that it needs: starts its downloads, and loads it when all files are here. How far it is
 * comes from the server's jobs; only which model is wanted is kept by the browser, so that a reload forgets nothing.
 */
import { api, ask, type Schemas } from '../../lib/api/client'
import { errorOfThrown, type ApiError } from '../../lib/api/errors'
import { hasOnlyDemo } from '../../lib/models/catalog'
import { loadBodyOf, orderBundles, progressOf, type BundleProgress, type Offer } from '../../lib/models/bundles'
import { budgetOf } from '../../lib/models/fit'
import { router } from '../../state/router.svelte'
import { server } from '../../state/server.svelte'
import { library } from './library.svelte'
import { loads } from './loads.svelte'
import { transfers } from './transfers.svelte'

const KEY = 'sdcpp-rest.getting'
export type Source = { bytes: number | null; licences: string[] }

class Bundles {
  list = $state.raw<Schemas['BundleShown'][]>([])
  /** The bundle that is being fetched, by its id and the memory of its size. */
  getting = $state.raw<{ id: string; memory_gb: number } | null>(null)
  isStarting = $state(false)
  error = $state.raw<ApiError | null>(null)
  /** What the source says of a bundle's files, where it was asked. */
  sources = $state<Record<string, Source>>({})

  private isEnding = false

  readonly budget = $derived(budgetOf(server.health?.memory))
  readonly offers = $derived(orderBundles(this.list, this.budget))
  /** Whether there is nothing to draw with but the demo. */
  readonly isFirstRun = $derived(hasOnlyDemo(server.models))
  readonly current = $derived(this.offerOf(this.getting))
  readonly progress = $derived(this.current ? this.progressOf(this.current) : null)

  async start(): Promise<void> {
    this.getting ??= readKept()
    if (this.list.length > 0) return
    try {
      this.list = (await ask((signal) => api.GET('/models/recommended', { signal }))).bundles
      this.watch()
    } catch {
      // Then there are no suggestions; the page asks again when it is opened again.
    }
  }

  /** How far a bundle's files are. */
  progressOf(offer: Offer): BundleProgress {
    return progressOf(offer.size, server.models, Object.values(server.jobs))
  }

  /** Asks the source how large a bundle's files are, and under which licences. */
  async askSource(offer: Offer): Promise<void> {
    const told = await Promise.all(
      offer.size.files.map(({ repo_id, filename }) =>
        ask((signal) => api.GET('/models/huggingface', { params: { query: { repo_id, filename } }, signal }), {
          timeoutMs: 60_000,
        }),
      ),
    )
    this.sources[keyOf(offer)] = {
      bytes: told.every((one) => one.file_size !== null)
        ? told.reduce((sum, one) => sum + (one.file_size ?? 0), 0)
        : null,
      licences: [...new Set(told.map((one) => one.licence).filter(Boolean))],
    }
  }

  sourceOf(offer: Offer): Source | undefined {
    return this.sources[keyOf(offer)]
  }

  /** Starts the downloads of all files that are neither here nor on their way, one after the other. */
  async get(offer: Offer): Promise<void> {
    this.keep({ id: offer.bundle.id, memory_gb: offer.size.memory_gb })
    this.isStarting = true
    this.error = null
    try {
      for (const { file, state } of this.progressOf(offer).files) {
        if (state !== 'stopped' && state !== 'failed') continue
        const { model_type, repo_id, filename, name } = file
        await transfers.download({
          model_type,
          repo_id,
          filename,
          source: 'huggingface',
          title: offer.bundle.display_name,
          ...(name ? { name } : {}),
        })
      }
    } catch (thrown) {
      this.error = errorOfThrown(thrown)
    } finally {
      this.isStarting = false
    }
  }

  /** Gives up: cancels what is on its way. What is here already stays. */
  async stop(offer: Offer): Promise<void> {
    this.keep(null)
    this.error = null
    await Promise.all(
      this.progressOf(offer).files.map(async ({ job, state }) => {
        if (job && (state === 'running' || state === 'waiting')) await transfers.cancel(job)
      }),
    )
  }

  private offerOf(wanted: { id: string; memory_gb: number } | null): Offer | null {
    const offer = this.offers.find((one) => one.bundle.id === wanted?.id)
    const size = offer?.bundle.sizes.find((one) => one.memory_gb === wanted?.memory_gb)
    return offer && size ? { ...offer, size } : null
  }

  /** Loads the bundle as soon as all of it is here, wherever in the page one is by then. */
  private watch(): void {
    $effect.root(() => {
      $effect(() => {
        const offer = this.current
        if (offer && this.progress?.isDone && !this.isStarting && !this.isEnding) void this.finish(offer)
      })
    })
  }

  private async finish(offer: Offer): Promise<void> {
    this.isEnding = true
    try {
      const body = loadBodyOf(offer.size, this.progressOf(offer).files)
      this.keep(null)
      if (!body) return
      const waitsHere = router.place.page === 'models' && !router.place.id
      await library.reload()
      if ((await loads.load(body)) && waitsHere && router.place.page === 'models') router.goTo('generate')
    } finally {
      this.isEnding = false
    }
  }

  private keep(getting: { id: string; memory_gb: number } | null): void {
    this.getting = getting
    try {
      if (getting) localStorage.setItem(KEY, JSON.stringify(getting))
      else localStorage.removeItem(KEY)
    } catch {
      // A private window keeps nothing; then the model is loaded only while the page stays open.
    }
  }
}

function keyOf(offer: Offer): string {
  return `${offer.bundle.id}:${offer.size.memory_gb}`
}

function readKept(): { id: string; memory_gb: number } | null {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? 'null')
    if (typeof kept !== 'object' || kept === null) return null
    const { id, memory_gb } = kept as Record<string, unknown>
    return typeof id === 'string' && typeof memory_gb === 'number' ? { id, memory_gb } : null
  } catch {
    return null
  }
}

export const bundles = new Bundles()
