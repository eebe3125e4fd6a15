/** Draws until it is stopped: when a job has ended, the same draft is started again. */
import { isEnded } from '../lib/events/apply'
import { t } from '../lib/i18n'
import { isRandom } from '../lib/settings/seeds'
import { drafts } from './drafts.svelte'
import { notices } from './notices.svelte'
import { server } from './server.svelte'

class Endless {
  /** How many jobs were started; 0: it does not run. */
  count = $state(0)
  private draftId = ''
  private jobId = $state('')
  /** The job whose end was met already: what is told of it afterwards starts nothing. */
  private ended = ''
  private end: (() => void) | null = null

  /** Begins with a job of the active draft that was just started. */
  begin(jobId: string): void {
    this.stop()
    this.draftId = drafts.activeId
    this.jobId = jobId
    this.count = 1
    this.end = $effect.root(() => {
      $effect(() => {
        const job = server.jobs[this.jobId]
        if (!job) this.stop()
        else if (isEnded(job.status) && this.ended !== this.jobId) void this.goOn(job.status, job.error ?? '')
      })
    })
  }

  stop(): void {
    this.end?.()
    this.end = null
    this.count = 0
  }

  private async goOn(status: string, error: string): Promise<void> {
    this.ended = this.jobId
    if (status !== 'completed') {
      this.stop()
      notices.tell(status === 'failed' ? t.generate.endlessEnded(error) : t.generate.endlessGone, {
        tone: status === 'failed' ? 'bad' : 'plain',
      })
      return
    }
    const draft = drafts.all.find((one) => one.id === this.draftId)
    if (!draft) return this.stop()
    try {
      const { kind, body } = await drafts.request(draft)
      // A seed that is kept goes up, or every picture would be the same.
      const seed = isRandom(body.seed) ? -1 : (body.seed as number) + this.count * Number(body.batch_count ?? 1)
      const job = await drafts.send(kind, { ...body, seed }, draft.id)
      if (!this.end) return
      this.jobId = job.job_id
      this.count += 1
    } catch (thrown) {
      if (!this.end) return
      this.stop()
      notices.tellError(thrown)
    }
  }
}

export const endless = new Endless()
