/** How the page looks and whether everybody can use it: themes, sizes, screenshots, axe. */
import { expect, test, type Page } from '@playwright/test'
import axeCore, { type AxeResults } from 'axe-core'
import { join } from 'node:path'

export interface Look {
  name: string
  theme: 'light' | 'dark'
  width: number
  height: number
}

const SIZES = [
  [1440, 900],
  [390, 844],
] as const

/** Runs `look` in light and dark, on a desk and on a phone. What is open on the page stays open, and it ends as it was. */
export async function forEachLook(page: Page, look: (look: Look) => Promise<void>): Promise<void> {
  const size = page.viewportSize()!
  const own = await page.evaluate(() => document.documentElement.dataset.theme)
  for (const [width, height] of SIZES)
    for (const theme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme: theme })
      await setTheme(page, theme)
      const name = `${width}-${theme}`
      await test.step(name, () => look({ name, theme, width, height }))
    }
  await page.setViewportSize(size)
  await page.emulateMedia({ colorScheme: null })
  await setTheme(page, own)
}

/** Expects in every look that nothing overflows and axe finds nothing; keeps a screenshot of each. */
export async function expectEveryLook(page: Page, name: string): Promise<void> {
  await forEachLook(page, async (look) => {
    await expectNoOverflow(page)
    await axe(page)
    await shoot(page, `${name}-${look.name}`)
  })
}

async function setTheme(page: Page, theme: string | undefined): Promise<void> {
  await page.evaluate((chosen) => {
    if (chosen) document.documentElement.dataset.theme = chosen
    else delete document.documentElement.dataset.theme
  }, theme)
}

/** Expects that axe finds nothing, of whatever impact. `without` are selectors of what is not looked at. */
export async function axe(page: Page, without: string[] = [], isServerAway = false): Promise<void> {
  await settle(page)
  await page.evaluate(axeCore.source)
  // It may ask for style sheets once more, and logs those that do not come.
  const options = { preload: !isServerAway }
  const found = await page.evaluate(
    async ({ exclude, options }) => {
      const { axe: run } = window as unknown as {
        axe: { run: (context: unknown, options: unknown) => Promise<AxeResults> }
      }
      return run.run(exclude.length > 0 ? { exclude } : document, options)
    },
    { exclude: without, options },
  )
  const told = found.violations.map(
    (one) =>
      `${one.id} (${one.impact}): ${one.help}\n` +
      one.nodes.map((node) => `    ${node.target.join(' ')}\n      ${node.html.slice(0, 160)}`).join('\n'),
  )
  expect(told, 'what axe found').toEqual([])
}

/** Expects that nothing is wider than the window, nor, but on a phone, higher. */
export async function expectNoOverflow(page: Page): Promise<void> {
  const { wide, room, high, window } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    room: document.documentElement.clientWidth,
    high: document.documentElement.scrollHeight,
    window: document.documentElement.clientHeight,
  }))
  expect(wide, 'width of what is shown').toBeLessThanOrEqual(room)
  // On a phone the document itself scrolls.
  if (room > 760) expect(high, 'height of what is shown, beside what scrolls by itself').toBeLessThanOrEqual(window)
}

/** Keeps a screenshot in `test-results/screens/`, for whoever wants to look. */
export async function shoot(page: Page, name: string): Promise<void> {
  await settle(page)
  await page.screenshot({ path: join(test.info().project.outputDir, 'screens', `${name}.png`) })
}

/** Waits until everything that moves and ends has ended: halfway through, colours are nobody's choice. */
async function settle(page: Page): Promise<void> {
  await page.evaluate(() =>
    Promise.all(
      document
        .getAnimations()
        .filter((one) => Number.isFinite(Number(one.effect?.getComputedTiming().endTime)))
        .map((one) => one.finished.catch(() => undefined)),
    ),
  )
}
