/** Keeps the pictures that this page has seen, and does to pictures what the server does to them. */
import { untrack } from 'svelte'
import { outputUrl } from '../lib/address'
import { api, ask, limitCall } from '../lib/api/client'
import { errorOfAnswer } from '../lib/api/errors'
import { readMetadata } from '../lib/api/metadata'
import { defaultOf, type RequestKind, type Values } from '../lib/drafts/draft'
import type { Job, Picture } from '../lib/events/apply'
import { settingsOf, type Settings } from '../lib/jobs/settings'
import { joinKnown } from '../lib/jobs/strip'
import { desk } from '../state/desk.svelte'
import { server } from '../state/server.svelte'

/** A picture's settings, and what they were read of. */
export interface FoundSettings extends Settings {
  params: Values
  kind: RequestKind
}

class Shelf {
  /** Newest first. */
  known = $state.raw<Picture[]>([])

  /** Takes the newest pictures in; called whenever the server tells of other ones. */
  take(latest: readonly Picture[]): void {
    // Called by an effect of the newest pictures alone.
    untrack(() => {
      this.known = joinKnown(this.known, latest)
      const chosen = desk.chosen && latest.find((one) => one.id === desk.chosen?.id)
      if (chosen) desk.chosen = chosen
    })
  }

  async star(picture: Picture, starred: boolean): Promise<void> {
    this.replace({ ...picture, starred })
    try {
      await ask((signal) =>
        api.PATCH('/gallery/{picture_id}', {
          params: { path: { picture_id: picture.id } },
          body: { starred },
          signal,
        }),
      )
    } catch (thrown) {
      this.replace(picture)
      throw thrown
    }
  }

  async remove(picture: Picture): Promise<void> {
    await ask((signal) => api.DELETE('/gallery/{picture_id}', { params: { path: { picture_id: picture.id } }, signal }))
    this.forget(new Set([picture.id]))
  }

  /** Leaves no trace of pictures that were deleted. */
  forget(ids: ReadonlySet<number>): void {
    const isLeft = (one: Picture): boolean => !ids.has(one.id)
    this.known = this.known.filter(isLeft)
    server.latest = server.latest.filter(isLeft)
    desk.compared = desk.compared.filter(isLeft)
    if (desk.chosen && !isLeft(desk.chosen)) desk.chosen = null
    if (desk.comparedWithStart && !isLeft(desk.comparedWithStart)) desk.comparedWithStart = null
  }

  async restore(picture: Picture): Promise<void> {
    await ask((signal) => api.POST('/gallery/batch', { body: { ids: [picture.id], action: 'restore' }, signal }))
    this.known = joinKnown([picture, ...this.known], server.latest)
  }

  /** Reads the bytes of a picture. */
  async read(picture: Pick<Picture, 'path' | 'version'>, signal?: AbortSignal): Promise<Blob> {
    const answer = await fetch(outputUrl(picture.path, picture.version), { signal: limitCall({ signal }) })
    if (!answer.ok) throw errorOfAnswer(answer.status, null)
    return answer.blob()
  }

  /** Finds out how a picture was made: from its job, else from the file itself. Null: nothing tells it. */
  async findSettings(picture: Picture): Promise<FoundSettings | null> {
    const job = await this.findJob(picture)
    if (job) return readSettings(job.type, job.params as Values, picture, job.model)
    const told = await readMetadata(await this.read(picture))
    return told.submit ? readSettings(told.submit.kind, told.submit.body, picture, told.matches.model) : null
  }

  private async findJob(picture: Picture): Promise<Job | null> {
    if (!picture.job_id) return null
    const known = server.jobs[picture.job_id]
    if (known) return known
    try {
      const path = { job_id: picture.job_id }
      return (await ask((signal) => api.GET('/queue/{job_id}', { params: { path }, signal }))) as Job
    } catch {
      // The job was removed, its picture was kept: the file tells the settings, too.
      return null
    }
  }

  private replace(picture: Picture): void {
    const swap = (list: readonly Picture[]): Picture[] => list.map((one) => (one.id === picture.id ? picture : one))
    this.known = swap(this.known)
    server.latest = swap(server.latest)
    if (desk.chosen?.id === picture.id) desk.chosen = picture
  }
}

function readSettings(type: Job['type'], params: Values, picture: Picture, model: string | null): FoundSettings | null {
  const fields = new Set(Object.keys(server.options?.options ?? {}))
  const found = settingsOf(
    { type, params: params as Job['params'] },
    fields,
    (field, kind) => defaultOf(field, kind, server.options, server.preset),
    server.otherModel(model),
  )
  if (!found) return null
  // Each picture of a job has a seed of its own.
  if (picture.seed !== undefined) found.values.seed = picture.seed
  return { ...found, params, kind: type as RequestKind }
}

export const shelf = new Shelf()
