/** Several models: one draft with each that is checked, a model as an axis of a comparison, and a draft that keeps another's model. */
import type { Page } from '@playwright/test'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { axe, expect, expectEveryLook, startJob, test } from './server'

const DEMO = 'demo_dit_q8_0'
const demo = (ending: string): string =>
  fileURLToPath(new URL(`../../sdcpp_rest/demo/diffusion_models/${DEMO}.${ending}`, import.meta.url))
const told = JSON.parse(readFileSync(demo('json'), 'utf8')) as Record<string, unknown>
const settings = { ...(told.generation_defaults as object), steps: 2 }

test.use({
  modelFiles: {
    'diffusion_models/other.gguf': demo('gguf'),
    'diffusion_models/other.json': Buffer.from(
      JSON.stringify({ ...told, display_name: 'The other one', generation_defaults: settings }),
    ),
  },
})

const prompt = (page: Page) => page.getByRole('textbox', { name: 'Prompt', exact: true })
const comparison = (page: Page) => page.getByRole('dialog', { name: 'Compare' })

test.beforeEach(async ({ page, server }) => {
  await server.untilModel()
  await page.goto(server.page())
  await prompt(page).fill('a red circle')
})

test('one draft is drawn with each checked model, and the chosen one stays', async ({ page, server }) => {
  await page.getByRole('button', { name: 'More ways to start' }).click()
  await page.getByRole('menuitem', { name: 'With each checked model…' }).click()
  const dialog = page.getByRole('dialog', { name: 'With each checked model' })
  await expect(dialog.getByRole('button', { name: /^Draw with 0/ })).toBeDisabled()
  await dialog.getByRole('checkbox', { name: /The other one/ }).click()
  await dialog.getByRole('checkbox', { name: /Demo pictures/ }).click()
  await expect(dialog.getByRole('status')).toHaveText(/^2 models checked/)
  await expect(dialog.getByRole('checkbox', { name: /The other one/ })).toHaveAttribute('aria-checked', 'true')
  await expect(dialog.getByText('Fits').first()).toBeVisible()
  await axe(page)
  await expectEveryLook(page, 'each-model')
  await dialog.getByRole('button', { name: 'Draw with 2 models' }).click()

  const shown = comparison(page)
  await expect(shown.getByRole('status')).toHaveText('2 of 2 drawn', { timeout: 90_000 })
  await expect(shown.getByRole('columnheader')).toHaveText([new RegExp(DEMO), /other/])
  const jobs = (
    await server.api<{ items: { model: string; params: { steps: number; seed: number } }[] }>('GET', '/queue?limit=2')
  ).items
  expect(jobs.map((job) => job.model).sort()).toEqual([`${DEMO}.gguf`, 'other.gguf'])
  expect(jobs.find((job) => job.model === 'other.gguf')!.params.steps, 'its own setting').toBe(2)
  expect(jobs[0]!.params.seed).toBe(jobs[1]!.params.seed)
  expect((await server.api<{ selected_model_name: string }>('GET', '/health')).selected_model_name).toBe(`${DEMO}.gguf`)
})

test('the model is an axis of a comparison, loaded once, and a cell chooses it', async ({ page, server }) => {
  await page
    .locator('summary')
    .filter({ hasText: /^Compare/ })
    .click()
  const setting = page.getByRole('combobox', { name: 'Setting', exact: true })
  const values = page.getByRole('textbox', { name: 'Values' })
  for (const [at, field] of ['number:steps', 'model:model_name'].entries()) {
    await page.getByRole('button', { name: 'Add a setting' }).click()
    await setting.nth(at).selectOption(field)
  }
  await values.nth(0).fill('1, 3')
  await page.getByRole('button', { name: 'Choose models' }).click()
  const dialog = page.getByRole('dialog', { name: 'Choose models' })
  await dialog.getByRole('searchbox').fill('other')
  await dialog.getByRole('checkbox').click()
  await dialog.getByRole('searchbox').fill('')
  await dialog.getByRole('checkbox', { name: /Demo pictures/ }).click()
  await dialog.getByRole('button', { name: 'Done' }).click()
  await expect(values.nth(1)).toHaveValue(`${DEMO}.gguf, other.gguf`)
  await expectEveryLook(page, 'grid-of-models')
  await page.getByRole('button', { name: /^Draw 4 pictures/ }).click()

  const shown = comparison(page)
  await expect(shown.getByRole('status')).toHaveText('4 of 4 drawn', { timeout: 90_000 })
  const queue = await server.api<{ items: { model: string }[] }>('GET', '/queue?limit=4')
  const models = queue.items.map((job) => job.model)
  expect(models, 'the model changes once').toEqual([models[0], models[0], models[3], models[3]])
  const saved = page.waitForEvent('download')
  await shown.getByRole('button', { name: 'Contact sheet' }).click()
  expect(
    readFileSync(await (await saved).path())
      .subarray(1, 4)
      .toString(),
  ).toBe('PNG')

  await shown.getByRole('button', { name: 'Picture of 3, other' }).click()
  await expect(shown.getByRole('img', { name: 'Picture of Steps 3, Model other' })).toBeVisible()
  await shown.getByRole('button', { name: 'Use these settings' }).click()
  await expect(page.getByRole('button', { name: /^Model: The other one/ })).toBeVisible()
  await expect(page.getByText('Draws with other.gguf', { exact: false })).toHaveCount(0)
  await expect(page.getByRole('textbox', { name: 'Steps' })).toHaveValue('3')
  expect((await server.health()).model_name).toBe('other.gguf')
  await server.api('POST', '/models/load', { model_name: `${DEMO}.gguf` })
})

test('a job of another model is edited with that model, until the chosen one is taken', async ({ page, server }) => {
  const first = await server.send({ prompt: 'a blue star', steps: 1, model_name: 'other' })
  await server.untilJob(first)
  await page.goto(server.page('queue'))
  const row = page.getByRole('listitem').filter({ hasText: 'a blue star' }).first()
  await row.getByRole('button', { name: /^More for/ }).click()
  await page.getByRole('menuitem', { name: 'Edit as a draft' }).click()
  await expect(page.getByText('Draws with other.gguf, not with the chosen model.')).toBeVisible()
  await expect(
    page.getByRole('button', { name: 'Changed only: 2 changed' }),
    'steps and seed, not all that it holds',
  ).toBeVisible()
  await expectEveryLook(page, 'draft-of-another-model')
  const again = await startJob(page, () => page.getByRole('button', { name: /^(Generate|Add to queue)/ }).click())
  expect((await server.untilJob(again)).model).toBe('other.gguf')
  await page.getByRole('button', { name: 'Use the chosen model' }).click()
  await expect(page.getByText('Draws with other.gguf', { exact: false })).toHaveCount(0)
  const last = await startJob(page, () => page.getByRole('button', { name: /^(Generate|Add to queue)/ }).click())
  expect((await server.untilJob(last)).model).toBe(`${DEMO}.gguf`)
})
