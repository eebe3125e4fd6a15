/** Loads and frees models, ControlNets and upscalers. It goes on when the page that began it is left. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { errorOfThrown, type ApiError } from '../../lib/api/errors'
import { t } from '../../lib/i18n'
import { loadUpscaler } from '../../lib/pictures/upscalers'
import { linkTo, router } from '../../state/router.svelte'
import { server } from '../../state/server.svelte'
import { notices } from '../../state/notices.svelte'

class Loads {
  /** What is being loaded by this page. */
  current = $state<string | null>(null)
  /** What could not be loaded last, and why. */
  failed = $state.raw<{ name: string; error: ApiError } | null>(null)
  /** Whether something is being freed or changed. */
  isBusy = $state(false)

  readonly isLoading = $derived(this.current !== null || (server.health?.model_loading ?? false))

  /** Loads a model; returns whether it is loaded. A failure is told with the way to other settings. */
  async load(body: Schemas['LoadBody']): Promise<boolean> {
    const name = body.model_name
    this.current = name
    this.failed = null
    notices.announce(t.models.loading(name))
    try {
      const loaded = await ask((signal) => api.POST('/models/load', { body, signal }), { timeoutMs: 0 })
      const warning = 'warnings' in loaded && loaded.warnings?.[0]
      notices.tell([t.models.loadedNow(name), warning].filter(Boolean).join(' '), {
        action: { label: t.models.toGenerate, run: () => router.goTo('generate') },
      })
      return true
    } catch (thrown) {
      const error = errorOfThrown(thrown)
      // The connection is gone, not the load: its end is told by an event.
      if (error.status === 0 || error.code === 'wait_timeout') return false
      this.failed = { name, error }
      notices.tell(`${t.models.loadFailed(name)} ${error.message}`, {
        tone: 'bad',
        action: { label: t.models.otherSettings, run: () => router.goTo(linkTo('models', '', { load: name })) },
      })
      return false
    } finally {
      this.current = null
    }
  }

  /** Frees the model. Where jobs wait for it, says so and offers to do it all the same. */
  unload(): Promise<boolean> {
    return this.change(
      (force) => ask((signal) => api.POST('/models/unload', { body: { force }, signal }), { timeoutMs: 120_000 }),
      t.models.unloaded,
    )
  }

  loadControlNet(controlnet: string): Promise<boolean> {
    return this.change(
      (force) =>
        ask((signal) => api.POST('/controlnet/load', { body: { controlnet, force }, signal }), { timeoutMs: 0 }),
      t.models.loadedNow(controlnet),
    )
  }

  unloadControlNet(): Promise<boolean> {
    return this.change(
      (force) => ask((signal) => api.POST('/controlnet/unload', { body: { force }, signal }), { timeoutMs: 0 }),
      t.models.unloaded,
    )
  }

  loadUpscaler(model_name: string): Promise<boolean> {
    return this.change(() => loadUpscaler(model_name), t.models.loadedNow(model_name))
  }

  unloadUpscaler(): Promise<boolean> {
    return this.change(
      () => ask((signal) => api.POST('/upscaler/unload', { signal }), { timeoutMs: 120_000 }),
      t.models.unloaded,
    )
  }

  private async change(run: (force: boolean) => Promise<unknown>, said: string, force = false): Promise<boolean> {
    this.isBusy = true
    try {
      await run(force)
      notices.tell(said)
      return true
    } catch (thrown) {
      const error = errorOfThrown(thrown)
      if (error.status === 409 && !force)
        notices.tell(error.message, {
          tone: 'bad',
          action: { label: t.models.allTheSame, run: () => void this.change(run, said, true) },
        })
      else notices.tellError(error)
      return false
    } finally {
      this.isBusy = false
    }
  }
}

export const loads = new Loads()
