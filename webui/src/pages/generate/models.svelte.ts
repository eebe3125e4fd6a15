/** The models that can be chosen: what each is and needs, as far as it was looked at, and loading one. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { errorOfThrown } from '../../lib/api/errors'
import { t } from '../../lib/i18n'
import { readFit, type Fit } from '../../lib/models/fit'
import { chooseParts, type Detection, type ModelFile } from '../../lib/settings/models'
import { drafts } from '../../state/drafts.svelte'
import { attempt, notices } from '../../state/notices.svelte'
import { server } from '../../state/server.svelte'

interface ModelLook {
  title: string
  preview: string | null
  detection: Detection | null
  fit: Fit | null
}

class Models {
  listing = $state.raw<Schemas['ModelsShown'] | null>(null)
  /** What was found out about each file, by its name. */
  looks = $state<Record<string, ModelLook>>({})
  /** The name of what is being loaded by this page. */
  loading = $state('')
  private asked = new Set<string>()
  /** Files are read one after the other: looking at hundreds at once would keep the server from everything else. */
  private line: Promise<void> = Promise.resolve()

  readonly loaded: ModelFile | null = $derived(
    [...(this.listing?.checkpoints ?? []), ...(this.listing?.diffusion_models ?? [])].find(
      (one) => one.name === server.model,
    ) ?? null,
  )

  /** Asks which files there are; called again when they change. */
  async fetch(): Promise<void> {
    try {
      this.listing = await ask((signal) => api.GET('/models', { signal }))
    } catch (thrown) {
      if (this.listing === null && !errorOfThrown(thrown).isPassing) notices.tellError(thrown)
    }
  }

  /** Looks at a file: its card, its family and parts, whether it fits. Once, and after the others that are waited for. */
  look(file: Pick<ModelFile, 'name' | 'type'>): void {
    if (this.asked.has(file.name)) return
    this.asked.add(file.name)
    this.line = this.line.then(() => this.lookAt(file))
  }

  private async lookAt({ name, type }: Pick<ModelFile, 'name' | 'type'>): Promise<void> {
    const path = { model_type: type, model_name: name }
    const quietly = async <T>(call: Promise<T>): Promise<T | null> => await call.catch(() => null)
    const [card, detection, fit] = await Promise.all([
      quietly(ask((signal) => api.GET('/models/{model_type}/{model_name}/card', { params: { path }, signal }))),
      quietly(ask((signal) => api.GET('/architectures/detect', { params: { query: { model: name, type } }, signal }))),
      quietly(ask((signal) => api.GET('/models/{model_type}/{model_name}/fit', { params: { path }, signal }))),
    ])
    this.looks[name] = { title: card?.title || name, preview: card?.preview ?? null, detection, fit: readFit(fit) }
    if (!card && !detection) this.asked.delete(name)
  }

  /** Loads a file with the parts that go with it. What runs already keeps its model. */
  async choose(file: Pick<ModelFile, 'name' | 'type'>): Promise<boolean> {
    const detection = this.looks[file.name]?.detection
    const parts = detection ? chooseParts(detection).parts : {}
    return await this.load({
      model_name: file.name,
      model_type: file.type as 'checkpoint' | 'diffusion',
      ...parts,
    })
  }

  /** Loads a model with everything that is given. Goes on when the place that asked is left. */
  async load(body: Schemas['LoadBody']): Promise<boolean> {
    if (server.isBusy) notices.tell(t.generate.bindsLater)
    this.loading = body.model_name
    const told = await attempt(() => ask((signal) => api.POST('/models/load', { body, signal }), { timeoutMs: 0 }))
    if (this.loading === body.model_name) this.loading = ''
    if (told) {
      // Whoever chooses a model means it for what is being written.
      drafts.reset('model_name')
      notices.announce(t.generate.modelLoaded(body.model_name))
    }
    return told !== undefined
  }
}

export const models = new Models()
