/** Starts what the active draft says, and tells at its field what is wrong with it. */
import { errorOfThrown } from '../../lib/api/errors'
import { t } from '../../lib/i18n'
import { missingPicture } from '../../lib/settings/modes'
import { fieldOfPath } from '../../lib/settings/request'
import { isRandom } from '../../lib/settings/seeds'
import { drafts } from '../../state/drafts.svelte'
import { notices } from '../../state/notices.svelte'
import { server } from '../../state/server.svelte'
import { form } from './form.svelte'
import { panel } from './panel.svelte'

interface StartOptions {
  /** Changes of the request alone. */
  overrides?: Record<string, unknown>
  isFirst?: boolean
}

/** Whether the active draft can be started, as far as the page knows; what is wrong is told at its field. */
export async function isReady(): Promise<boolean> {
  const wrong = form.firstProblem()
  const missing = missingPicture(drafts.active)
  if (wrong) await refuse(wrong.field, wrong.message)
  else if (missing)
    await refuse(missing, missing === 'ref_images' ? t.generate.needsReference : t.generate.needsPicture)
  return !wrong && !missing
}

/** Starts the active draft. Returns the job's id; null where it was refused, which is told at the field. */
export async function startDraft({ overrides = {}, isFirst = false }: StartOptions = {}): Promise<string | null> {
  const draft = drafts.active
  if (!(await isReady())) return null
  const words = server.isBusy ? t.generate.queued : t.generate.started
  try {
    const job = await drafts.submit(overrides, { isFirst })
    notices.announce(words)
    // A seed that is not kept was meant for one start.
    if (!draft.keepsSeed && !isRandom(draft.values.seed)) {
      delete draft.values.seed
      drafts.save(draft)
    }
    return job.job_id
  } catch (thrown) {
    const error = errorOfThrown(thrown)
    if (error.field) return await refuse(fieldOfPath(error.field), error.message)
    notices.tellError(error)
    return null
  }
}

async function refuse(field: string, message: string): Promise<null> {
  form.refuse(field, message)
  await panel.reveal(field)
  notices.announce(t.generate.refused(message))
  return null
}
