/** What can be done with a job that waits or runs: one list, for the column at the right and for the Queue page. */
import ArrowDown from '@lucide/svelte/icons/arrow-down'
import ArrowUp from '@lucide/svelte/icons/arrow-up'
import ArrowUpToLine from '@lucide/svelte/icons/arrow-up-to-line'
import Info from '@lucide/svelte/icons/info'
import Pencil from '@lucide/svelte/icons/pencil'
import X from '@lucide/svelte/icons/x'
import { isEnded, type Job } from '../lib/events/apply'
import { t } from '../lib/i18n'
import { canEdit } from '../lib/jobs/failure'
import { moveBy } from '../lib/jobs/order'
import { linkTo, router } from '../state/router.svelte'
import { server } from '../state/server.svelte'
import type { MenuItem } from '../ui/Menu.svelte'
import { cancelJob, editJob, moveJob } from './jobs.svelte'

/** Lists what can be done with a job; with one that has ended, only to look at it. */
export function jobMenu(job: Job): MenuItem[] {
  const items: MenuItem[] = []
  if (job.status === 'pending') {
    const ids = server.waiting.map((one) => one.job_id)
    const up = moveBy(ids, job.job_id, -1)
    const down = moveBy(ids, job.job_id, 1)
    if (up)
      items.push(
        { label: t.queue.first, icon: ArrowUpToLine, run: () => void moveJob(job, { to: 'first' }) },
        { label: t.queue.up, icon: ArrowUp, run: () => void moveJob(job, up) },
      )
    if (down) items.push({ label: t.queue.down, icon: ArrowDown, run: () => void moveJob(job, down) })
    if (canEdit(job)) items.push({ label: t.queue.edit, icon: Pencil, run: () => void editJob(job) })
  }
  items.push({ label: t.queue.details, icon: Info, run: () => router.goTo(linkTo('queue', job.job_id)) })
  if (!isEnded(job.status))
    items.push({ label: t.queue.cancel, icon: X, isDangerous: true, run: () => void cancelJob(job) })
  return items
}
