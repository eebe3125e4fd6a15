/** Everything can be reached by its name, with keys alone. */
import { axe, expect, test } from './server'

test('pages, settings and actions are found by a few letters and done by Enter', async ({ page, server }) => {
  await page.goto(server.page(''))
  await expect(page.getByText('Connected')).toBeVisible()
  const palette = page.getByRole('dialog', { name: 'Go to, or do' })
  const open = async (): Promise<void> => {
    await page.keyboard.press('Control+k')
    await expect(palette.getByRole('textbox')).toBeFocused()
  }
  await open()
  await page.keyboard.type('galle')
  await expect(palette.getByRole('option').first()).toHaveText(/Gallery/)
  await axe(page)
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/\/ui\/gallery$/)

  await open()
  await page.keyboard.type('steps')
  await expect(palette.getByRole('option').first()).toHaveText(/Steps/)
  await page.keyboard.press('Enter')
  await expect(
    page.getByRole('textbox', { name: 'Steps' }).or(page.getByRole('spinbutton', { name: 'Steps' })),
  ).toBeFocused()

  await open()
  await page.keyboard.type('zzzz')
  await expect(palette.getByText('Nothing is called that')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(palette).toBeHidden()
})
