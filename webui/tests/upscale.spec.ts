/** Pictures that are made larger: one of a file, one of the latest, looked at beside what they were. */
import { makePngBytes } from './pictures'
import { axe, expect, expectNoOverflow, forEachLook, shoot, test } from './server'

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
  await forEachLook(page, async (look) => {
    await expectNoOverflow(page)
    await axe(page)
    await shoot(page, `upscale-${look.name}`)
  })
  await page.setViewportSize({ width: 1440, height: 900 })

  await mine.getByRole('button', { name: 'Compare' }).click()
  const compared = page.getByRole('dialog', { name: 'Before and after' })
  const slider = compared.getByRole('slider', { name: 'How much is shown of the picture before' })
  await slider.fill('20')
  await expect(compared.getByRole('img', { name: 'Before' })).toHaveCSS('clip-path', 'inset(0px 80% 0px 0px)')
  await expect
    .poll(() => compared.getByRole('img', { name: 'After' }).evaluate((one) => (one as HTMLImageElement).naturalWidth))
    .toBe(128)
  await axe(page)
  await page.keyboard.press('Escape')
  await mine.getByRole('link', { name: 'Show in the gallery' }).click()
  await expect(page.getByRole('dialog')).toBeVisible()
})
