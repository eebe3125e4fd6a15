/** Pictures that tell how they were made: those of other tools give their settings, our own are drawn again bit by bit. */
import type { Page } from '@playwright/test'
import { makePngBytes, sumOfPixels } from './pictures'
import { axe, expect, startJob, test } from './server'

const MARKUP = 'a red circle <b>bold</b> <img src=x onerror="document.title=\'taken\'"> & <script>alert(1)</script>'
const FOREIGN = `${MARKUP}
Negative prompt: blurry, <i>dull</i>
Steps: 3, Sampler: Euler a, Schedule type: Karras, CFG scale: 4.5, Seed: 4242, Size: 64x128, Model hash: 0123456789, Model: nowhere, Clip skip: 2, Version: v1.10.1`

test.beforeEach(async ({ page, server }) => {
  await server.untilModel()
  await page.goto(server.page())
  await prompt(page).waitFor()
})

const prompt = (page: Page) => page.getByRole('textbox', { name: 'Prompt', exact: true })

/** Drops a file onto the page, as a file manager does. */
async function drop(page: Page, name: string, content: Buffer): Promise<void> {
  const data = await page.evaluateHandle(
    ([called, base64]) => {
      const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0))
      const carried = new DataTransfer()
      carried.items.add(new File([bytes], called, { type: 'image/png' }))
      return carried
    },
    [name, content.toString('base64')] as const,
  )
  await page.dispatchEvent('body', 'dragover', { dataTransfer: data })
  await page.dispatchEvent('body', 'drop', { dataTransfer: data })
}

test('a picture of another tool gives all of its settings, and its markup is text', async ({ page }) => {
  await drop(page, 'foreign.png', makePngBytes(FOREIGN))
  const asked = page.getByRole('dialog', { name: /foreign\.png/ })
  await expect(asked.getByText(MARKUP, { exact: true })).toBeVisible()
  await expect(asked.getByText('Model: nowhere')).toBeVisible()
  await axe(page)
  await asked.getByRole('button', { name: 'Restore settings' }).click()

  await expect(asked).toHaveCount(0)
  await expect(prompt(page)).toHaveValue(MARKUP)
  await expect(page.getByRole('textbox', { name: 'Negative prompt' })).toHaveValue('blurry, <i>dull</i>')
  await expect(page.getByRole('textbox', { name: 'Steps' })).toHaveValue('3')
  await expect(page.getByRole('textbox', { name: 'Guidance', exact: true })).toHaveValue('4.5')
  await expect(page.getByRole('combobox', { name: 'Sampler' })).toHaveValue('euler_a')
  await expect(page.getByRole('combobox', { name: 'Scheduler' })).toHaveValue('karras')
  await expect(page.getByRole('textbox', { name: 'Seed' })).toHaveValue('4242')
  await expect(page.getByRole('button', { name: 'Keep this seed' })).toHaveAttribute('aria-pressed', 'true')
  await expect(page.getByRole('group', { name: 'Size' })).toContainText('64 × 128')
  await page.getByRole('button', { name: 'Search all settings' }).click()
  await page.getByRole('searchbox', { name: 'Search all settings' }).fill('clip')
  await expect(page.getByRole('textbox', { name: 'CLIP skip' })).toHaveValue('2')
  await expect(page.locator('img[src="x"]')).toHaveCount(0)
  expect(await page.title()).not.toContain('taken')

  // It was a mistake: the draft is as it was, and another one that was begun meanwhile is left alone.
  await page.getByRole('button', { name: 'New draft' }).click()
  await prompt(page).fill('another one')
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(prompt(page)).toHaveValue('another one')
  await page
    .getByRole('navigation', { name: 'Drafts' })
    .getByRole('button', { name: /^Draft 1$/ })
    .click()
  await expect(prompt(page)).toHaveValue('')
})

test('only what is chosen is taken, into a draft of its own', async ({ page }) => {
  await prompt(page).fill('what I am at')
  await drop(page, 'foreign.png', makePngBytes(FOREIGN))
  const asked = page.getByRole('dialog', { name: /foreign\.png/ })
  await asked.getByRole('button', { name: 'None' }).click()
  await expect(asked.getByRole('button', { name: 'Restore settings' })).toBeDisabled()
  await asked.getByRole('checkbox', { name: /^Steps/ }).check()
  await asked.getByRole('button', { name: 'In a new draft' }).click()
  await expect(page.getByRole('textbox', { name: 'Steps' })).toHaveValue('3')
  await expect(prompt(page)).toHaveValue('')
  const tabs = page.getByRole('navigation', { name: 'Drafts' })
  await tabs.getByRole('button', { name: 'what I am at', exact: true }).click()
  await expect(prompt(page)).toHaveValue('what I am at')
  await expect(page.getByRole('textbox', { name: 'Steps' })).toHaveValue('12')
})

test('a picture of this server is drawn again, the same in every pixel', async ({ page, server }) => {
  const fetchPicture = async (path: string): Promise<Buffer> =>
    (await page.request.get(`${server.url}/output/${path}`)).body()
  const first = await server.draw({ prompt: 'a blue square', steps: 4, cfg_scale: 3.5, sampler: 'heun', height: 96 })
  const before = await fetchPicture(first.outputs[0]!)

  await drop(page, 'own.png', before)
  const asked = page.getByRole('dialog', { name: /own\.png/ })
  await asked.getByRole('button', { name: 'Restore settings' }).click()
  await expect(prompt(page)).toHaveValue('a blue square')
  const again = await startJob(page, () => page.getByRole('button', { name: /^(Generate|Add to queue)/ }).click())
  expect(again).not.toBe(first.job_id)
  const second = await server.untilJob(again)
  expect(second.status).toBe('completed')
  expect(second.outputs![0]).not.toBe(first.outputs[0])
  expect(sumOfPixels(await fetchPicture(second.outputs![0]!))).toBe(sumOfPixels(before))
})
