import type { Locator, Page } from '@playwright/test'
import { makePngBytes } from './pictures'
import { axe, expect, test } from './server'

const EXAMPLE = 'a green star on a white background'

function start(page: Page): Locator {
  return page.getByRole('button', { name: /^(Generate|Add to queue)/ })
}

function prompt(page: Page): Locator {
  return page.getByRole('textbox', { name: 'Prompt', exact: true })
}

/** The example below the prompt; jobs and pictures are called by their prompts, too. */
function example(page: Page): Locator {
  return page.getByRole('group', { name: 'This small demo draws shapes.' }).getByRole('button', { name: EXAMPLE })
}

async function countPictures(page: Page, url: string): Promise<number> {
  const answer = await page.request.get(`${url}/gallery?limit=1`)
  return ((await answer.json()) as { total: number }).total
}

/** Runs something and waits until there is one picture more. */
async function expectPicture(page: Page, url: string, run: () => Promise<void>): Promise<void> {
  const before = await countPictures(page, url)
  await run()
  await expect.poll(() => countPictures(page, url)).toBe(before + 1)
}

test('the first visit leads to a picture: an example, one button', async ({ page, server }) => {
  await page.goto(server.page())
  await example(page).click()
  await expect(prompt(page)).toHaveValue(EXAMPLE)
  await expectPicture(page, server.url, () => start(page).click())
  // What was drawn can be drawn again.
  await expect(page.getByRole('button', { name: /^use \d+$/ })).toBeVisible()
  await expect(example(page)).toHaveCount(0)
})

test('the same goes by keyboard alone', async ({ page, server }) => {
  await page.goto(server.page())
  await prompt(page).waitFor()
  for (let pressed = 0; pressed < 60; pressed += 1) {
    await page.keyboard.press('Tab')
    if (await prompt(page).evaluate((field) => field === document.activeElement)) break
  }
  await expect(prompt(page)).toBeFocused()
  await page.keyboard.type('a red circle on a blue background')
  await expectPicture(page, server.url, () => page.keyboard.press('Control+Enter'))
})

test('a reload keeps the draft, its settings and the other drafts', async ({ page, server }) => {
  await page.goto(server.page())
  await prompt(page).fill('a blue square')
  await page.getByRole('textbox', { name: 'Steps' }).fill('3')
  await page.getByRole('button', { name: '4:3' }).click()
  await page.getByRole('textbox', { name: 'Seed' }).fill('42')
  await page.getByRole('button', { name: 'New draft' }).click()
  await prompt(page).fill('another one')
  await page.reload()
  const tabs = page.getByRole('navigation', { name: 'Drafts' })
  await expect(tabs.getByRole('button', { name: 'another one', exact: true })).toHaveAttribute('aria-current', 'true')
  await tabs.getByRole('button', { name: 'a blue square' }).click()
  await expect(prompt(page)).toHaveValue('a blue square')
  await expect(page.getByRole('textbox', { name: 'Steps' })).toHaveValue('3')
  await expect(page.getByRole('button', { name: '4:3' })).toHaveAttribute('aria-pressed', 'true')
  await expect(page.getByRole('textbox', { name: 'Seed' })).toHaveValue('42')
  await expect(page.getByRole('button', { name: 'Keep this seed' })).toHaveAttribute('aria-pressed', 'true')
})

test('a closed draft comes back', async ({ page, server }) => {
  await page.goto(server.page())
  await prompt(page).fill('keep me')
  await page.getByRole('button', { name: 'New draft' }).click()
  const tabs = page.getByRole('navigation', { name: 'Drafts' })
  await tabs.getByRole('button', { name: 'keep me' }).click()
  await tabs.getByRole('button', { name: 'More for keep me' }).click()
  await page.getByRole('menuitem', { name: 'Close' }).click()
  await expect(tabs).toHaveCount(0)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(prompt(page)).toHaveValue('keep me')
})

test('settings that were reset come back to the draft that had them', async ({ page, server }) => {
  await page.goto(server.page())
  await prompt(page).fill('a blue square')
  const steps = page.getByRole('textbox', { name: 'Steps' })
  await steps.fill('3')
  await page.getByRole('button', { name: 'Reset all' }).click()
  await expect(prompt(page)).toHaveValue('a blue square')
  await expect(steps).toHaveValue('12')
  await page.getByRole('button', { name: 'New draft' }).click()
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(steps).toHaveValue('12')
  await page.getByRole('navigation', { name: 'Drafts' }).getByRole('button', { name: 'a blue square' }).click()
  await expect(steps).toHaveValue('3')
})

test('what cannot be is told at its field, and the focus goes there', async ({ page, server }) => {
  await page.goto(server.page())
  await prompt(page).fill('a red circle')
  const steps = page.getByRole('textbox', { name: 'Steps' })
  await steps.fill('0')
  await start(page).click()
  await expect(steps).toBeFocused()
  await expect(steps).toHaveAttribute('aria-invalid', 'true')
  await expect(steps).toHaveAccessibleDescription('Between 1 and 10,000 is allowed.')
  await steps.fill('many')
  await expect(steps).toHaveAccessibleDescription('This is to be a number.')
  await page.getByRole('button', { name: 'Reset Steps' }).click()
  await expect(steps).toHaveValue('12')
  await expect(steps).not.toHaveAttribute('aria-invalid')
})

test('what the server refuses is told at its field, too', async ({ page, server, allowErrors }) => {
  allowErrors(/400/)
  await page.goto(server.page())
  await prompt(page).fill('a red circle <lora:nobody:1>')
  await start(page).click()
  await expect(page.getByRole('status').getByText(/^Not started: .*nobody/)).toBeVisible()
  await expect(page.locator('[data-field=prompt] > .error-text').filter({ hasText: 'nobody' })).toBeVisible()
  await expect(prompt(page)).toBeFocused()
})

test('a mode that the model cannot do tells why', async ({ page, server }) => {
  await page.goto(server.page())
  const video = page.getByRole('tab', { name: 'Video' })
  await expect(video).toHaveAttribute('aria-disabled', 'true')
  await expect(video).toHaveAccessibleDescription(/makes no videos/)
  await page.getByRole('tab', { name: 'Text' }).focus()
  await page.keyboard.press('ArrowLeft')
  await expect(video).toBeFocused()
  await expect(page.getByRole('status').getByText(/makes no videos/)).toBeVisible()
  await expect(page.getByRole('tab', { name: 'Text' })).toHaveAttribute('aria-selected', 'true')
})

test('a picture is taken, a drawing and a broken file are refused in words', async ({ page, server }) => {
  await page.goto(server.page())
  await page.getByRole('tab', { name: 'Image' }).click()
  const place = page.getByRole('region', { name: 'Start picture' })
  const take = async (name: string, buffer: Buffer): Promise<void> =>
    place.locator('input[type=file]').setInputFiles({ name, mimeType: 'image/png', buffer })
  await take('drawing.png', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'))
  await expect(place.getByRole('alert')).toContainText('SVG')
  await take('empty.png', Buffer.alloc(0))
  await expect(place.getByRole('alert')).toContainText('empty')
  const dot = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==',
    'base64',
  )
  await take('half.png', dot.subarray(0, 40))
  await expect(place.getByRole('alert')).toContainText('damaged')
  await start(page).click()
  await expect(place.getByRole('button', { name: 'Choose a file' })).toBeFocused()
  await take('dot.png', dot)
  await expect(place.getByText('dot.png')).toBeVisible()
  await expect(place.getByRole('alert')).toHaveCount(0)
})

test('until stopped draws on and on, and stops', async ({ page, server }) => {
  await page.goto(server.page())
  await prompt(page).fill('a red circle')
  await page.getByRole('textbox', { name: 'Steps' }).fill('1')
  await page.getByRole('button', { name: 'More ways to start' }).click()
  await page.getByRole('menuitem', { name: 'Until stopped' }).click()
  const banner = page.getByRole('status').filter({ hasText: 'Draws until stopped' })
  await expect(banner).toContainText(/[3-9] jobs/)
  await page.getByRole('link', { name: 'Gallery' }).first().click()
  await banner.getByRole('button', { name: 'Stop' }).click()
  await expect(banner).toHaveCount(0)
  // What runs is drawn to its end, and nothing is started after it.
  const countJobs = async (): Promise<{ all: number; open: number }> => {
    const told = await server.api<Record<string, number>>('GET', '/queue?limit=1')
    return {
      all: told.pending_count! + told.processing_count! + told.completed_count! + told.failed_count!,
      open: told.pending_count! + told.processing_count!,
    }
  }
  await expect.poll(async () => (await countJobs()).open).toBe(0)
  const { all } = await countJobs()
  await server.draw({ prompt: 'a blue square' })
  expect(await countJobs()).toEqual({ all: all + 1, open: 0 })
})

test('the models to download are asked for once while one chooses', async ({ page, server }) => {
  let asked = 0
  page.on('request', (request) => (asked += Number(request.url().endsWith('/models/recommended'))))
  await page.goto(server.page())
  await page.getByRole('button', { name: /^Model: Demo/ }).click()
  const dialog = page.getByRole('dialog', { name: 'Choose a model' })
  await expect(dialog.getByRole('region', { name: 'Loaded' }).getByRole('button')).toBeVisible()
  await expect(dialog.getByRole('region', { name: 'Recommended to download' }).getByRole('link').first()).toBeVisible()
  await dialog.getByRole('searchbox').fill('none is called so')
  await expect(dialog.getByText('No model matches.')).toBeVisible()
  expect(asked).toBe(1)
})

test('settings are searched, kept as a preset and applied', async ({ page, server }) => {
  await page.goto(server.page())
  await page.getByRole('textbox', { name: 'Steps' }).fill('5')
  await page.getByRole('button', { name: 'Presets' }).click()
  await page.getByRole('button', { name: 'Save these settings' }).click()
  await page.getByRole('textbox', { name: 'Name' }).fill('Five')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await expect(page.getByText('Saved as Five')).toBeVisible()
  await page.getByRole('button', { name: 'Reset all' }).click()
  await expect(page.getByRole('textbox', { name: 'Steps' })).toHaveValue('12')
  await page.getByRole('button', { name: 'Presets' }).click()
  await page.getByRole('button', { name: 'Five', exact: true }).click()
  await expect(page.getByRole('textbox', { name: 'Steps' })).toHaveValue('5')
  await page.getByRole('button', { name: 'Search all settings' }).click()
  await page.getByRole('searchbox', { name: 'Search all settings' }).fill('clip')
  await expect(page.getByText('1 setting found')).toBeVisible()
  await expect(page.getByText(/with Ovis Image it has no effect/)).toBeVisible()
})

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true })

  test('prompt and start are at hand, the settings in a sheet', async ({ page, server }) => {
    await page.goto(server.page())
    await example(page).tap()
    await page.getByRole('button', { name: 'All settings' }).tap()
    const sheet = page.getByRole('dialog', { name: 'All settings' })
    await sheet.getByRole('textbox', { name: 'Steps' }).fill('2')
    await sheet.getByRole('button', { name: 'Done' }).tap()
    await expectPicture(page, server.url, () => start(page).tap())
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true)
  })
})

test('pictures of a face are several, in an order, where the model has PhotoMaker', async ({
  page,
  server,
  allowErrors,
}) => {
  allowErrors(/400/)
  // No model of the tests has one: the page is told of one, and the request is looked at before a server is.
  await page.route('**/ui/bootstrap', async (route) => {
    const answer = await route.fetch()
    const told = await answer.json()
    told.current_preset.takes_photo_maker = true
    told.current_preset.ignores = told.current_preset.ignores.filter(
      ({ field }: { field: string }) => field !== 'pm_id_images',
    )
    await route.fulfill({ response: answer, json: told })
  })
  await page.route('**/estimate', (route) =>
    route.fulfill({ json: { fits: null, advice: [], seconds_estimate: null } }),
  )
  await server.untilModel()
  await page.goto(server.page())
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('a man img')
  await page
    .locator('summary')
    .filter({ hasText: /^ControlNet/ })
    .click()
  const place = page.getByRole('region', { name: 'Pictures of one face (PhotoMaker)' })
  await expect(place.getByText('a man img', { exact: false })).toBeVisible()
  const files = [1, 2].map((shade) => ({
    name: `${shade}.png`,
    mimeType: 'image/png',
    buffer: makePngBytes('', shade),
  }))
  await place.locator('input[type=file]').setInputFiles(files)
  await expect(place.getByText('2.png')).toBeVisible()
  await place.getByRole('button', { name: 'Move Picture of the face 2 up' }).click()
  await axe(page)
  let sent: string[] = []
  await page.route('**/txt2img', async (route) => {
    sent = (route.request().postDataJSON() as { pm_id_images: string[] }).pm_id_images
    await route.fulfill({ status: 400, json: { error: 'no PhotoMaker here', field: 'pm_id_images' } })
  })
  await page.getByRole('button', { name: /^(Generate|Add to queue)/ }).click()
  await expect(place.getByRole('alert')).toHaveText('no PhotoMaker here')
  expect(sent).toEqual([...files].reverse().map(({ buffer }) => buffer.toString('base64')))
})
