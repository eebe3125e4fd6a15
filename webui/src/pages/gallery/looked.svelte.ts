/** Keeps the picture that is looked at: what is known of it, how it was made, and which ones are beside it. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { errorOfThrown, type ApiError } from '../../lib/api/errors'
import { readMetadata } from '../../lib/api/metadata'
import { outputUrl } from '../../lib/address'
import type { Picture } from '../../lib/events/apply'
import { shelf } from '../../pictures/shelf.svelte'
import { gallery } from './gallery.svelte'

type Known = Schemas['PictureShown']

export class Looked {
  /** What the list tells at once, and all of it a moment later. */
  picture = $state.raw<Picture | null>(null)
  known = $state.raw<Known | null>(null)
  /** With what it was made, by its job or by the file; null: neither tells. */
  settings = $state.raw<Record<string, unknown> | null>(null)
  /** The tool that made a file without a job. */
  tool = $state('')
  problem = $state.raw<ApiError | null>(null)
  index = $state.raw<number | null>(null)
  before = $state.raw<Picture | null>(null)
  after = $state.raw<Picture | null>(null)

  private running: AbortController | null = null
  /** Of which picture the settings were asked for and answered. */
  private settingsId = 0

  /** Shows a picture; called again, it asks for what has changed. */
  async show(id: number): Promise<void> {
    this.stop()
    const running = (this.running = new AbortController())
    const isOther = this.picture?.id !== id
    if (isOther) {
      this.known = null
      this.settings = null
      this.settingsId = 0
      this.tool = ''
      // A list of groups tells neither places nor neighbours: all pictures are walked, one by one.
      this.index = gallery.isFolded ? null : gallery.indexOf(id)
      const found = gallery.find(id)
      this.picture = found ? { ...found, group: undefined } : null
      this.before = this.index ? (gallery.at(this.index - 1) ?? null) : null
      this.after = this.index === null ? null : (gallery.at(this.index + 1) ?? null)
    }
    this.problem = null
    try {
      const known = await ask(
        (signal) => api.GET('/gallery/{picture_id}', { params: { path: { picture_id: id } }, signal }),
        { signal: running.signal },
      )
      if (running.signal.aborted) return
      this.known = known
      this.picture = known
      // One that was deleted is in the list no more: those that were beside it still are.
      if (known.place === 'shown' || gallery.query.deleted) await this.findNeighbours(known, running.signal)
      // A call that was overtaken may have been given up before it came to this.
      if (this.settingsId !== id && known.place === 'shown') await this.readSettings(known, running.signal)
    } catch (thrown) {
      const error = errorOfThrown(thrown)
      if (error.code !== 'aborted' && !running.signal.aborted) this.problem = error
    }
  }

  stop(): void {
    this.running?.abort()
  }

  private async findNeighbours(known: Known, signal: AbortSignal): Promise<void> {
    const index = await gallery.locate(known, gallery.isFolded)
    if (signal.aborted) return
    this.index = index
    const at = async (place: number): Promise<Picture | null> => {
      if (place < 0 || place >= gallery.pictures) return null
      return (await gallery.picturesIn({ first: place, end: place + 1 }, gallery.isFolded))[0] ?? null
    }
    const [before, after] = index === null ? [null, null] : await Promise.all([at(index - 1), at(index + 1)])
    if (signal.aborted) return
    this.before = before
    this.after = after
    for (const one of [after, before]) if (one?.kind === 'image') new Image().src = outputUrl(one.path, one.version)
  }

  private async readSettings(known: Known, signal: AbortSignal): Promise<void> {
    if (known.job_id) {
      const path = { job_id: known.job_id }
      try {
        const job = await ask((limited) => api.GET('/queue/{job_id}', { params: { path }, signal: limited }), {
          signal,
        })
        if (signal.aborted) return
        this.settings = { ...job.params }
        this.settingsId = known.id
        return
      } catch (thrown) {
        // The job was deleted and its picture kept: the file tells it, too.
        if (errorOfThrown(thrown).status !== 404) return
      }
    }
    // What cannot be read says nothing, and the picture is there all the same.
    const told = await shelf
      .read(known, signal)
      .then((bytes) => readMetadata(bytes, signal))
      .catch(() => null)
    if (signal.aborted) return
    this.settingsId = known.id
    if (!told || told.tool === 'unknown') return
    this.tool = told.tool
    this.settings = { ...told.fields, ...told.unmapped }
  }
}
