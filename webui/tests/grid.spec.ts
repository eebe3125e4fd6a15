/** Comparisons: settings are varied, the table fills as its pictures are drawn, one cell becomes the draft, all become a sheet. */
import { readFileSync } from 'node:fs'
import { expect, expectEveryLook, test } from './server'

test('nine pictures of steps and seeds', async ({ page, server }) => {
  await server.untilModel()
  await page.goto(server.page())
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('a red circle')
  await page
    .locator('summary')
    .filter({ hasText: /^Compare/ })
    .click()
  for (const [at, [field, values]] of [
    ['number:steps', '1-3'],
    ['number:seed', '5, 6, 7'],
  ].entries()) {
    await page.getByRole('button', { name: 'Add a setting' }).click()
    await page.getByRole('combobox', { name: 'Setting', exact: true }).nth(at).selectOption(field!)
    await page.getByRole('textbox', { name: 'Values' }).nth(at).fill(values!)
  }
  await page.getByRole('button', { name: /^Draw 9 pictures/ }).click()

  const shown = page.getByRole('dialog', { name: 'Compare' })
  const pictures = shown.getByRole('table').locator('td img')
  await expect(shown.getByRole('button', { name: /^Picture of/ })).toHaveCount(9)
  // It fills while it is looked at.
  await expect(shown.getByRole('status')).toHaveText(/^[1-8] of 9 drawn$/)
  await expect(shown.getByRole('status')).toHaveText('9 of 9 drawn', { timeout: 90_000 })
  await expect(pictures).toHaveCount(9)
  await expect(shown.getByRole('button', { name: 'Cancel the rest' })).toHaveCount(0)
  await expectEveryLook(page, 'grid')

  const saved = page.waitForEvent('download')
  await shown.getByRole('button', { name: 'Contact sheet' }).click()
  const sheet = readFileSync(await (await saved).path())
  expect(sheet.subarray(1, 4).toString()).toBe('PNG')
  expect(sheet.readUInt32BE(16), 'three pictures beside each other').toBeGreaterThanOrEqual(3 * 64)

  // The address leads here again.
  await page.reload()
  await shown.getByRole('button', { name: 'Picture of 2, 6' }).click()
  await expect(shown.getByRole('img', { name: 'Picture of Steps 2, Seed 6' })).toBeVisible()
  await page.keyboard.press('ArrowDown')
  await expect(shown.getByRole('img', { name: 'Picture of Steps 2, Seed 7' })).toBeVisible()
  await shown.getByRole('button', { name: 'Use these settings' }).click()
  await expect(shown).toHaveCount(0)
  await expect(page.getByRole('textbox', { name: 'Steps' })).toHaveValue('2')
  await expect(page.getByRole('textbox', { name: 'Seed', exact: true })).toHaveValue('7')
  await expect(page.getByRole('textbox', { name: 'Prompt', exact: true })).toHaveValue('a red circle')
})
