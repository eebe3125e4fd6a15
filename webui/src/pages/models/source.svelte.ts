/** Asks the source of a pasted link what is there, before anything is downloaded. */
import { api, ask } from '../../lib/api/client'
import { errorOfThrown, type ApiError } from '../../lib/api/errors'
import { fileOf } from '../../lib/models/catalog'
import { guessType, readLink, type Link } from '../../lib/models/links'
import { isModelType, type ModelType } from '../../lib/models/types'
import { transfers } from './transfers.svelte'

export interface Found {
  /** Where it is from, in words. */
  from: string
  name: string
  bytes: number | null
  sha256: string
  licence: string
  baseModel: string
  type: ModelType
}

export class LinkSource {
  text = $state('')
  link = $derived<Link | null>(readLink(this.text))
  found = $state<Found | null>(null)
  /** The files of a repository that has several. */
  candidates = $state.raw<string[]>([])
  filename = $state('')
  isBusy = $state(false)
  error = $state.raw<ApiError | null>(null)
  private call: AbortController | null = null

  /** Forgets what was found, because the link is another one now. */
  forget(): void {
    this.call?.abort()
    this.found = null
    this.candidates = []
    this.filename = ''
    this.error = null
  }

  async look(): Promise<void> {
    const link = this.link
    if (!link) return
    this.call?.abort()
    const call = (this.call = new AbortController())
    this.isBusy = true
    this.error = null
    try {
      this.found = await this.ask(link, call.signal)
    } catch (thrown) {
      if (call.signal.aborted) return
      const error = errorOfThrown(thrown)
      const candidates = error.details.candidates
      if (error.field === 'filename' && Array.isArray(candidates) && !this.filename)
        this.candidates = candidates.map(String)
      else this.error = error
    } finally {
      if (this.call === call) this.isBusy = false
    }
  }

  private async ask(link: Link, given: AbortSignal): Promise<Found> {
    const options = { signal: given, timeoutMs: 60_000 }
    if (link.source === 'huggingface') {
      const filename = this.filename || link.filename
      const { repo_id, revision } = link
      const told = await ask(
        (signal) => api.GET('/models/huggingface', { params: { query: { repo_id, filename, revision } }, signal }),
        options,
      )
      this.filename = told.filename
      return {
        from: repo_id,
        name: fileOf(told.filename),
        bytes: told.file_size,
        sha256: told.sha256 ?? '',
        licence: told.licence,
        baseModel: '',
        type: guessType(`${repo_id}/${told.filename}`, told.file_size),
      }
    }
    if (link.source === 'civitai') {
      const told = await ask(
        (signal) => api.GET('/models/civitai/{model_id}', { params: { path: { model_id: link.model_id } }, signal }),
        options,
      )
      return {
        from: `${told.name} ${told.version_name}`.trim(),
        name: told.filename,
        bytes: told.file_size,
        sha256: told.sha256 ?? '',
        licence: '',
        baseModel: told.base_model,
        type: isModelType(told.type) ? told.type : guessType(told.filename, told.file_size),
      }
    }
    return {
      from: new URL(link.url).host,
      name: link.filename,
      bytes: null,
      sha256: '',
      licence: '',
      baseModel: '',
      type: guessType(link.url),
    }
  }

  /** Starts the download of what was found. */
  async start(type: ModelType, name: string, subfolder: string): Promise<void> {
    const link = this.link
    if (!link) return
    const from =
      link.source === 'huggingface'
        ? { source: 'huggingface' as const, repo_id: link.repo_id, filename: this.filename, revision: link.revision }
        : link.source === 'civitai'
          ? { source: 'civitai' as const, model_id: link.model_id }
          : { source: 'url' as const, url: link.url }
    this.isBusy = true
    this.error = null
    try {
      await transfers.download({
        model_type: type,
        ...from,
        ...(name && name !== this.found?.name ? { name } : {}),
        ...(subfolder ? { subfolder } : {}),
      })
      this.forget()
      this.text = ''
    } catch (thrown) {
      this.error = errorOfThrown(thrown)
      throw thrown
    } finally {
      this.isBusy = false
    }
  }
}
