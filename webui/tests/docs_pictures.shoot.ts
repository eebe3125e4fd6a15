/**
 * Takes the pictures of docs/pictures: every page that there is something to see on, light and dark on a desk, and on a
 * phone. What they show is drawn by the demo model just before. `python -m tools.webui pictures` makes them small.
 */
import type { Locator, Page } from '@playwright/test'
import { expect, shoot, startJob, test } from './server'

const DRAWN = [
  'a yellow star on a black background',
  'a blue square on a white background',
  'a green triangle on a yellow background',
  'a red circle on a blue background',
]
const LAST = 'a green star on a white background'
const LOOKS = [
  { name: 'light', theme: 'light', width: 1280, height: 800 },
  { name: 'dark', theme: 'dark', width: 1280, height: 800 },
  { name: 'phone', theme: 'light', width: 390, height: 780 },
] as const

/** Each page with what it shows last. */
const PAGES: [path: string, last: (main: Locator) => Locator][] = [
  ['queue', (main) => main.getByRole('button', { name: new RegExp(`^Show on the stage: ${LAST}`) })],
  ['gallery', (main) => main.getByRole('img', { name: new RegExp(`^${DRAWN[0]}`) })],
  ['models', (main) => main.getByRole('link', { name: /Demo pictures/ })],
  ['settings', (main) => main.getByRole('heading', { level: 2 })],
]

test('the pages are photographed', async ({ page, server }) => {
  for (const prompt of DRAWN) await server.draw({ prompt, steps: 12, width: 128, height: 128, seed: 7 })
  await page.goto(server.page())
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill(LAST)
  const id = await startJob(page, () => page.getByRole('button', { name: /^(Generate|Add to queue)/ }).click())
  expect((await server.untilJob(id)).status).toBe('completed')
  await expect(page.getByRole('button', { name: /^use \d+$/ })).toBeVisible()
  await shootEveryLook(page, 'generate')
  for (const [name, last] of PAGES) {
    await page.goto(server.page(name))
    await expect(last(page.getByRole('main')).first()).toBeVisible()
    await shootEveryLook(page, name)
  }
})

async function shootEveryLook(page: Page, name: string): Promise<void> {
  for (const look of LOOKS) {
    await page.setViewportSize({ width: look.width, height: look.height })
    await page.emulateMedia({ colorScheme: look.theme })
    await page.evaluate((theme) => (document.documentElement.dataset.theme = theme), look.theme)
    await untilPicturesAreThere(page)
    await shoot(page, `docs-${name}-${look.name}`)
  }
}

/** Waits until every picture that is in the window is decoded. */
async function untilPicturesAreThere(page: Page): Promise<void> {
  await expect
    .poll(() =>
      page.evaluate(() =>
        [...document.images].every((one) => {
          const { top, bottom } = one.getBoundingClientRect()
          return bottom < 0 || top > innerHeight || (one.complete && one.naturalWidth > 0)
        }),
      ),
    )
    .toBe(true)
}
