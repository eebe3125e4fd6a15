/** Jobs that the page starts. */
import type { Page } from '@playwright/test'

/** Does what starts a job, and returns the job's number once the server has taken it. */
export async function startJob(page: Page, start: () => Promise<void>): Promise<string> {
  const accepted = page.waitForResponse((answer) => answer.url().endsWith('/txt2img') && answer.ok())
  await start()
  return ((await (await accepted).json()) as { job_id: string }).job_id
}
