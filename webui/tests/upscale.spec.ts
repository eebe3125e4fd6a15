/** Pictures that are made larger: one of a file, one of the latest, looked at beside what they were. */
import { makePngBytes } from './pictures'
import { axe, expect, expectEveryLook, test } from './server'

test('a file and one of the latest pictures are made larger and compared', async ({ page, server }) => {
  await server.draw({ prompt: 'a yellow moon' })
  await page.goto(server.page('upscale'))
  await page.getByRole('combobox', { name: 'Upscaler' }).selectOption('esrgan_x2.safetensors')
  await page
    .locator('input[type=file]')
    .setInputFiles({ name: 'mine.png', mimeType: 'image/png', buffer: makePngBytes('') })
  const mine = page.getByRole('listitem').filter({ hasText: 'mine.png' })
  await expect(mine).toContainText('64 × 64 becomes 128 × 128')
  await page.getByRole('button', { name: 'Take: a yellow moon' }).click()
  const rows = page.getByRole('button', { name: /^Take .* off the list$/ })
  await expect(rows).toHaveCount(2)
  await page
    .locator('input[type=file]')
    .setInputFiles({ name: 'no.png', mimeType: 'image/png', buffer: Buffer.from('no') })
  await expect(page.getByText(/^no\.png: /)).toBeVisible()
  await expect(rows).toHaveCount(2)

  await page.getByRole('button', { name: 'Make 2 pictures larger' }).click()
  await expect(page.getByRole('button', { name: 'Compare', exact: true })).toHaveCount(2)
  await expect(page.getByText('64 × 64 becomes 128 × 128')).toHaveCount(2)
  await expectEveryLook(page, 'upscale')

  await mine.getByRole('button', { name: 'Compare' }).click()
  const compared = page.getByRole('dialog', { name: 'Before and after' })
  await expect(compared.getByRole('img', { name: 'Before' })).toHaveJSProperty('naturalWidth', 64)
  // The result is shown to the right of the divider: nothing of it when that stands at the frame's right end.
  const readClip = () =>
    compared
      .getByRole('img', { name: 'After' })
      .evaluate((one) => Number(/([\d.]+)px\)$/.exec(getComputedStyle(one).clipPath)?.[1]))
  await compared.getByRole('slider', { name: 'Divider' }).fill('0.5')
  await expect.poll(async () => Math.round(await readClip())).toBe(32)
  await compared.getByRole('slider', { name: 'Divider' }).fill('1')
  await expect.poll(readClip).toBeGreaterThanOrEqual(64)
  await expect
    .poll(() => compared.getByRole('img', { name: 'After' }).evaluate((one) => (one as HTMLImageElement).naturalWidth))
    .toBe(128)
  await axe(page)
  await page.keyboard.press('Escape')
  await mine.getByRole('link', { name: 'Show in the gallery' }).click()
  await expect(page.getByRole('dialog')).toBeVisible()
})
