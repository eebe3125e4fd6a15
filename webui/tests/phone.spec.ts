/** On a phone: every page fits, at two widths, and a picture is drawn and looked at by touch alone. */
import type { Locator } from '@playwright/test'
import { axe, expect, expectNoOverflow, shoot, startJob, test } from './server'

const WORDS = 'an_uncommonly_long_word_that_has_no_place_to_be_broken_at_all '.repeat(3)
/** Each page with what it shows last: what the server was asked for. */
const PAGES: [path: string, last: (main: Locator) => Locator][] = [
  ['', (main) => main.getByRole('textbox', { name: 'Prompt', exact: true })],
  ['queue', (main) => main.getByRole('button', { name: /^Show on the stage: an_uncommonly/ })],
  ['gallery', (main) => main.getByRole('img', { name: /^an_uncommonly/ })],
  ['models', (main) => main.getByRole('link', { name: /Demo pictures/ })],
  ['upscale', (main) => main.getByRole('button', { name: /^Take: an_uncommonly/ })],
  ['assistant', (main) => main.getByText(/^No language model answers/)],
  ['settings', (main) => main.getByRole('heading', { level: 2 }).last()],
]

for (const width of [390, 360])
  test.describe(`${width} pixels wide`, () => {
    test.use({ viewport: { width, height: 780 }, hasTouch: true, isMobile: true })

    test('every page fits', async ({ page, server }) => {
      await server.draw({ prompt: WORDS })
      for (const [name, last] of PAGES)
        await test.step(name || 'generate', async () => {
          await page.goto(server.page(name))
          await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1)
          await expect(last(page.getByRole('main')).first()).toBeVisible()
          await expectNoOverflow(page)
          const title = page.getByRole('heading', { level: 1 })
          expect(await title.evaluate((one) => one.clientWidth >= one.scrollWidth || one.className === 'sr-only')).toBe(
            true,
          )
          await shoot(page, `phone-${width}-${name || 'generate'}`)
        })
    })

    test('a picture is drawn by touch, starred, and found in the gallery', async ({ page, server }) => {
      await server.untilModel()
      await page.goto(server.page())
      const prompt = page.getByRole('textbox', { name: 'Prompt', exact: true })
      await prompt.tap()
      await page.keyboard.insertText(`a red circle, ${width}`)
      await page.getByRole('button', { name: 'All settings' }).tap()
      const sheet = page.getByRole('dialog', { name: 'All settings' })
      await sheet.getByRole('textbox', { name: 'Steps' }).fill('2')
      await expectNoOverflow(page)
      await sheet.getByRole('button', { name: 'Done' }).tap()
      await expect(sheet).toHaveCount(0)
      const id = await startJob(page, () => page.getByRole('button', { name: /^(Generate|Add to queue)/ }).tap())
      expect((await server.untilJob(id)).status).toBe('completed')
      const star = page.getByRole('button', { name: 'Star', exact: true })
      await star.tap()
      await expect(star).toHaveAttribute('aria-pressed', 'true')
      await expectNoOverflow(page)
      await axe(page)
      await page.getByRole('navigation', { name: 'Pages, phone' }).getByRole('link', { name: 'Gallery' }).tap()
      await expect(page.getByRole('heading', { level: 1 })).toContainText('picture')
      await expect(page.getByRole('img', { name: `a red circle, ${width}` }).first()).toBeVisible()
      await expectNoOverflow(page)
    })
  })
