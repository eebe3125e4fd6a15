/** Files that come to the server: downloads (jobs of the server), and uploads (this page's own). */
import { apiUrl } from '../../lib/address'
import { api, ask, submitOnce, type Schemas } from '../../lib/api/client'
import { errorOfAnswer, errorOfThrown, type ApiError } from '../../lib/api/errors'
import type { Job } from '../../lib/events/apply'
import type { ModelType } from '../../lib/models/types'
import { server } from '../../state/server.svelte'
import { library } from './library.svelte'

export interface Upload {
  id: number
  name: string
  type: ModelType
  sentBytes: number
  totalBytes: number
  state: 'running' | 'done' | 'failed'
  error: string
}

export interface UploadOptions {
  name: string
  subfolder: string
  overwrite: boolean
}

const KINDS = new Set<string>(['model_download', 'model_hash', 'convert'])

class Transfers {
  uploads = $state<Upload[]>([])
  /** Jobs that were closed in the list by the user. */
  private hidden = $state<Record<string, true>>({})
  private requests = new Map<number, XMLHttpRequest>()
  private files = new Map<number, { file: File; options: UploadOptions }>()
  private last = 0

  /** Downloads, conversions and sums that run, wait, or have failed since the page was opened. */
  readonly jobs = $derived(
    Object.values(server.jobs)
      .filter((job) => KINDS.has(job.type) && job.status !== 'completed' && !this.hidden[job.job_id])
      .filter((job) => !this.followsDownload(job))
      .filter((job) => job.status !== 'cancelled' || job.type === 'model_download')
      .filter((job) => !this.wasRepeated(job))
      .sort((a, b) => a.created_at.localeCompare(b.created_at)),
  )

  /** The check of a download is told with it, until the download is over. */
  private followsDownload(job: Job): boolean {
    const download = server.jobs[String(job.params.download_job_id)]
    return job.type === 'model_hash' && download !== undefined && download.status !== 'completed'
  }

  /** A failed download that was begun again is shown once. */
  private wasRepeated(job: Job): boolean {
    return (
      (job.status === 'failed' || job.status === 'cancelled') &&
      Object.values(server.jobs).some(
        (one) =>
          one.type === job.type &&
          one.created_at > job.created_at &&
          one.params.url === job.params.url &&
          one.params.name === job.params.name,
      )
    )
  }

  /** Starts a download. Sent again after a break it is still one. */
  async download(body: Schemas['DownloadBody']): Promise<Schemas['DownloadAccepted']> {
    const accepted = await submitOnce<Schemas['DownloadAccepted']>(
      (key, signal) => api.POST('/models/download', { body, params: { header: { 'Idempotency-Key': key } }, signal }),
      () => server.untilBack(),
      { timeoutMs: 120_000 },
    )
    await server.fetchJob(accepted.job_id)
    return accepted
  }

  /** Begins a download again. Of one that has failed, what came is still there and is not fetched twice. */
  async resume(job: Job): Promise<void> {
    const { model_type, name, subfolder, overwrite, source, repo_id, filename, revision, model_id, version_id, url } =
      job.params as Record<string, string> & { overwrite?: boolean }
    const from =
      source === 'huggingface'
        ? { repo_id, filename, revision }
        : source === 'civitai' && model_id
          ? { model_id: version_id ? `${model_id}:${version_id}` : model_id, filename }
          : { url }
    const body = { model_type, name, subfolder, overwrite, source, title: job.title ?? '', ...from }
    await this.download(
      Object.fromEntries(Object.entries(body).filter(([, value]) => value)) as unknown as Schemas['DownloadBody'],
    )
  }

  async cancel(job: Job): Promise<void> {
    await ask((signal) => api.POST('/queue/{job_id}/cancel', { params: { path: { job_id: job.job_id } }, signal }))
  }

  hide(job: Job): void {
    this.hidden[job.job_id] = true
  }

  /** Sends a file to the server. The browser tells how far it is only this way. */
  upload(file: File, type: ModelType, options: UploadOptions): Upload {
    this.uploads.push({
      id: ++this.last,
      name: options.name,
      type,
      sentBytes: 0,
      totalBytes: file.size,
      state: 'running',
      error: '',
    })
    const entry = this.uploads.at(-1)!
    const request = new XMLHttpRequest()
    this.requests.set(entry.id, request)
    this.files.set(entry.id, { file, options })
    const query = new URLSearchParams({ type, name: options.name })
    if (options.subfolder) query.set('subfolder', options.subfolder)
    if (options.overwrite) query.set('overwrite', 'true')
    request.open('POST', apiUrl(`models/upload?${query}`))
    request.setRequestHeader('Content-Type', 'application/octet-stream')
    request.upload.onprogress = (event) => (entry.sentBytes = event.loaded)
    request.onload = () => this.endUpload(entry, request)
    request.onerror = () => this.failUpload(entry, errorOfThrown(new TypeError('away')))
    request.send(file)
    return entry
  }

  cancelUpload(entry: Upload): void {
    this.requests.get(entry.id)?.abort()
    this.forgetUpload(entry)
  }

  forgetUpload(entry: Upload): void {
    this.requests.delete(entry.id)
    this.files.delete(entry.id)
    this.uploads = this.uploads.filter((one) => one.id !== entry.id)
  }

  /** Sends a file again whose upload has failed. */
  retryUpload(entry: Upload): void {
    const kept = this.files.get(entry.id)
    this.forgetUpload(entry)
    if (kept) this.upload(kept.file, entry.type, kept.options)
  }

  private endUpload(entry: Upload, request: XMLHttpRequest): void {
    if (request.status < 300) {
      entry.state = 'done'
      entry.sentBytes = entry.totalBytes
      this.files.delete(entry.id)
      void library.reload()
      return
    }
    let body: unknown
    try {
      body = JSON.parse(request.responseText)
    } catch {
      body = null
    }
    this.failUpload(entry, errorOfAnswer(request.status, body))
  }

  private failUpload(entry: Upload, error: ApiError): void {
    entry.state = 'failed'
    entry.error = error.message
  }
}

export const transfers = new Transfers()
