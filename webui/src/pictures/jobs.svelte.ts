/** Does to jobs what people do to them, and tells what came of it. */
import { api, ask, submitOnce, type Schemas } from '../lib/api/client'
import { errorOfThrown } from '../lib/api/errors'
import { defaultOf, type Values } from '../lib/drafts/draft'
import { isEnded, type Job } from '../lib/events/apply'
import { t } from '../lib/i18n'
import { fileOf } from '../lib/jobs/progress'
import type { Move } from '../lib/jobs/order'
import { settingsOf } from '../lib/jobs/settings'
import { desk } from '../state/desk.svelte'
import { attempt, notices } from '../state/notices.svelte'
import { drafts } from '../state/drafts.svelte'
import { router } from '../state/router.svelte'
import { server } from '../state/server.svelte'
import { askToDelete } from './deleting'

const MOST_UNDONE = 20

/** The name of a job for people: its title, its prompt, or what it is about. */
export function nameOfJob(job: Job): string {
  const prompt = (job.params as Values).prompt
  const file = fileOf(job)
  return (
    job.title ||
    (typeof prompt === 'string' && prompt.trim()) ||
    (file ? `${t.queue.kinds[job.type]}: ${file}` : t.queue.kinds[job.type])
  )
}

/** Makes a job again, with what is to be otherwise. */
export async function repeatJob(job: Job, changes: { seed?: number; overrides?: Values } = {}): Promise<void> {
  const send = async (key: string, signal: AbortSignal | undefined): Promise<unknown> => {
    const headers = { 'Idempotency-Key': key }
    if (job.type === 'model_download' || job.type === 'convert') {
      const path = job.type === 'convert' ? '/convert' : '/models/download'
      return api.POST(path, { body: job.params as never, headers, signal })
    }
    return api.POST('/jobs/{job_id}/again', {
      params: { path: { job_id: job.job_id } },
      body: changes,
      headers,
      signal,
    })
  }
  const accepted = await submitOnce<Schemas['Accepted']>(
    (key, signal) => send(key, signal) as never,
    () => server.untilBack(),
  )
  const draft = Object.entries(drafts.started).find(([, ids]) => ids.includes(job.job_id))?.[0]
  if (draft) drafts.started[draft] = [accepted.job_id, ...drafts.started[draft]!]
  await server.fetchJob(accepted.job_id)
}

/** Makes a job again and says so. */
export async function repeatAndTell(job: Job, changes: Parameters<typeof repeatJob>[1] = {}): Promise<void> {
  await attempt(async () => {
    await repeatJob(job, changes)
    notices.tell(t.queue.added)
  })
}

/** Waits until a job has ended: one that is cancelled stops at its next step. */
function untilEnded(id: string): Promise<void> {
  return new Promise((resolve) => {
    if (isEnded(server.jobs[id]?.status ?? 'completed')) resolve()
    else {
      const stop = server.listen((want) => {
        if (want.what !== 'ended' || want.id !== id) return
        stop()
        resolve()
      })
    }
  })
}

async function undoCancel(job: Job): Promise<void> {
  await attempt(async () => {
    await untilEnded(job.job_id)
    await repeatJob(job)
    notices.tell(t.pictures.again)
  })
}

/** Cancels a job that waits or runs. Nothing is asked; it can be queued again. */
export async function cancelJob(job: Job, told: string = t.pictures.cancelled): Promise<void> {
  await attempt(async () => {
    try {
      await ask((signal) => api.POST('/queue/{job_id}/cancel', { params: { path: { job_id: job.job_id } }, signal }))
    } catch (thrown) {
      // It has ended just now: there is nothing left to cancel.
      if (errorOfThrown(thrown).status === 409) return
      throw thrown
    }
    const action = job.type === 'model_hash' ? undefined : { label: t.common.undo, run: () => void undoCancel(job) }
    notices.tell(told, { action })
  })
}

/** Cancels all that wait. The first twenty can be queued again. */
export async function cancelWaiting(): Promise<void> {
  const waiting = [...server.waiting]
  await attempt(async () => {
    const { cancelled } = await ask((signal) => api.DELETE('/queue/pending', { signal }))
    notices.tell(t.queue.cancelledWaiting(cancelled), {
      action: {
        label: t.common.undo,
        run: () =>
          void attempt(async () => {
            for (const job of waiting.slice(0, MOST_UNDONE)) {
              await untilEnded(job.job_id)
              await repeatJob(job)
            }
          }),
      },
    })
  })
}

export async function setPaused(paused: boolean): Promise<void> {
  await attempt(() => ask((signal) => api.POST(paused ? '/queue/pause' : '/queue/resume', { signal })))
}

/** Gives a waiting job another place. */
export async function moveJob(job: Job, move: Move): Promise<void> {
  const params = { path: { job_id: job.job_id } }
  const moved = await attempt(() =>
    ask((signal) =>
      'to' in move && move.to === 'first'
        ? api.POST('/queue/{job_id}/front', { params, signal })
        : api.POST('/queue/{job_id}/move', { params, body: move, signal }),
    ),
  )
  if (moved?.position) notices.announce(t.queue.movedSaid(moved.position))
}

export async function renameJob(job: Job, title: string): Promise<void> {
  const params = { path: { job_id: job.job_id } }
  const renamed = await attempt(() =>
    ask((signal) => api.PATCH('/queue/{job_id}', { params, body: { title }, signal })),
  )
  if (renamed && server.jobs[job.job_id]) server.jobs[job.job_id]!.title = (renamed as Job).title
}

/** Opens a job as a draft and goes to it. One that waits is taken off the queue: its draft takes its place. */
export async function editJob(job: Job): Promise<void> {
  const fields = new Set(Object.keys(server.options?.options ?? {}))
  const found = settingsOf(
    job,
    fields,
    (field, kind) => defaultOf(field, kind, server.options, server.preset),
    server.otherModel(job.model),
  )
  if (!found) return
  drafts.open({ ...found, name: job.title ?? '', keepsSeed: true })
  router.goTo('generate')
  if (job.status === 'pending') await cancelJob(job, t.queue.editTaken)
  else notices.tell(t.queue.opened)
}

/** Deletes a finished job with its pictures; `done` is told its id when it is deleted or back. */
export async function deleteJob(job: Job, done: () => void): Promise<void> {
  await attempt(async () => {
    const hasBin = await askToDelete(t.queue.askPurge)
    if (hasBin === null) return
    const told = await ask((signal) => api.DELETE('/queue/jobs', { body: { job_ids: [job.job_id] }, signal }))
    const problem = told.errors[0]
    if (problem) {
      notices.tell(problem.error, { tone: 'bad' })
      return
    }
    delete server.jobs[job.job_id]
    done()
    const restore = (): void =>
      void attempt(async () => {
        const params = { path: { job_id: job.job_id } }
        await ask((signal) => api.POST('/queue/{job_id}/restore', { params, signal }))
        done()
      })
    notices.tell(hasBin ? t.queue.deleted : t.queue.deletedForGood, {
      action: hasBin ? { label: t.common.undo, run: restore } : undefined,
    })
  })
}

/** Shows the first picture of a job on the stage. */
export async function showJob(job: Job): Promise<void> {
  await attempt(async () => {
    const query = { job_id: job.job_id, limit: 1 }
    const found = await ask((signal) => api.GET('/gallery', { params: { query }, signal }))
    const picture = found.items[0]
    if (!picture) {
      notices.tell(t.pictures.fileGone)
      return
    }
    desk.chosen = picture
    router.goTo('generate')
  })
}
