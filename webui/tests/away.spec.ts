/** What breaks in the middle: the server is gone and comes back, an answer is lost, the engine dies. Nothing is lost or drawn twice. */
import type { Page } from '@playwright/test'
import { axe, expect, startJob, test, type RunningServer } from './server'

interface Listed {
  job_id: string
  status: string
  params: { prompt?: string }
}

const prompt = (page: Page) => page.getByRole('textbox', { name: 'Prompt', exact: true })
const start = (page: Page) => page.getByRole('button', { name: /^(Generate|Add to queue)/ })

async function jobsOf(server: RunningServer, words: string): Promise<Listed[]> {
  const { items } = await server.api<{ items: Listed[] }>('GET', '/queue?limit=200')
  return items.filter((job) => job.params.prompt === words)
}

/** Writes a prompt and one step into the draft. */
async function fillDraft(page: Page, words: string): Promise<void> {
  await prompt(page).fill(words)
  await page.getByRole('textbox', { name: 'Steps' }).fill('1')
}

test.beforeEach(async ({ page, server }) => {
  await server.untilModel()
  await page.goto(server.page())
  await prompt(page).waitFor()
})
test.afterEach(async ({ server }) => {
  if (server.isRunning) await server.cancelJobs()
})

test('the server is killed in the middle of a job: what is started waits, and is drawn once', async ({
  page,
  server,
}) => {
  await server.send({ prompt: 'a long one', steps: 60, batch_count: 8, seed: 1 })
  await expect(page.getByRole('img', { name: 'Preview: a long one' })).toBeVisible()
  await page.evaluate(() => Object.assign(window, { isSamePage: true }))
  await server.kill()
  const banner = page.getByRole('status').filter({ hasText: 'The server cannot be reached' })
  await expect(banner).toBeVisible()
  await expect(banner.getByRole('button', { name: 'Try now' })).toBeVisible()
  await axe(page, [], true)

  await fillDraft(page, 'a yellow triangle')
  const tried = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/txt2img'))
  await start(page).click()
  await tried
  await prompt(page).fill('a yellow triangle, and what comes next')

  await server.restart()
  await expect(banner).toHaveCount(0)
  await expect.poll(async () => (await jobsOf(server, 'a yellow triangle')).length).toBe(1)
  const [job] = await jobsOf(server, 'a yellow triangle')
  await expect(page.getByRole('button', { name: /a yellow triangle/ }).first()).toBeVisible()
  // It may have ended with the server.
  for (const { job_id } of await jobsOf(server, 'a long one')) await server.cancel(job_id)
  expect((await server.untilJob(job!.job_id)).status).toBe('completed')
  await expect(page.getByRole('img', { name: 'a yellow triangle' }).first()).toBeVisible()

  expect(await jobsOf(server, 'a yellow triangle')).toHaveLength(1)
  expect(await jobsOf(server, 'a yellow triangle, and what comes next')).toHaveLength(0)
  await expect(prompt(page)).toHaveValue('a yellow triangle, and what comes next')
  expect(await page.evaluate(() => 'isSamePage' in window), 'not loaded anew').toBe(true)
})

test('an answer that is lost on its way starts nothing twice', async ({ page, server, allowErrors }) => {
  allowErrors(/net::ERR_/)
  const keys: (string | undefined)[] = []
  page.on('request', (request) => {
    if (request.url().endsWith('/txt2img')) keys.push(request.headers()['idempotency-key'])
  })
  await page.route(
    '**/txt2img',
    async (route) => {
      await route.fetch()
      await route.abort('connectionreset')
    },
    { times: 1 },
  )
  await fillDraft(page, 'a lost answer')
  const id = await startJob(page, () => start(page).click())
  expect((await server.untilJob(id)).status).toBe('completed')
  expect(keys).toHaveLength(2)
  expect(new Set(keys).size).toBe(1)
  expect(await jobsOf(server, 'a lost answer')).toHaveLength(1)
})

test('the engine is killed: that is told with a way out, and what is started next is drawn', async ({
  page,
  server,
}) => {
  await fillDraft(page, 'a red circle')
  await server.send({ prompt: 'a doomed one', steps: 60, batch_count: 8, seed: 1 })
  await expect(page.getByRole('img', { name: 'Preview: a doomed one' })).toBeVisible()
  await server.killEngine()
  await expect(page.getByRole('group', { name: 'Failed' }).getByText('The engine was restarted; try:')).toBeVisible()
  const id = await startJob(page, () => start(page).click())
  expect((await server.untilJob(id)).status).toBe('completed')
  await expect(page.getByRole('img', { name: 'a red circle' }).first()).toBeVisible()
})
