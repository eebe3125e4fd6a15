/** The gallery: found, chosen, marked, deleted and brought back, looked at by keyboard; a hundred pages long. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { expect, expectEveryLook, test } from './server'
import { makePng } from './pictures'

interface Listing {
  total: number
  items: { id: number; starred: boolean; board?: string; prompt: string; path: string }[]
}

const WORDS = ['lighthouse', 'meadow', 'harbour']

/** Puts pictures into the output folder, as somebody would by hand, the first the newest, and has them found. */
function putPictures(folder: string, count: number): void {
  const now = Date.now() / 1000
  for (let at = 0; at < count; at++) {
    const below = join(folder, `set${at % 10}`)
    mkdirSync(below, { recursive: true })
    const text = `a ${WORDS[at % 3]}, number ${at}\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: ${at}, Model: model_${at % 2}`
    makePng(join(below, `p${at}.png`), text, now - at * 86_400)
  }
}

const tile = (page: Page, name: string | RegExp) => page.getByRole('link', { name, exact: true })

test.describe('the gallery', () => {
  test.beforeEach(async ({ server }) => {
    for (const name of readdirSync(server.outputDir)) rmSync(join(server.outputDir, name), { recursive: true })
    putPictures(server.outputDir, 250)
    await server.api('POST', '/gallery/scan', { anew: true })
    await server.api('POST', '/gallery/batch', { filter: {}, action: 'unstar' })
  })

  test('finds, stars, chooses all that match, deletes, brings back, and makes a readable zip', async ({
    page,
    server,
  }) => {
    await page.goto(server.page('gallery'))
    await expect(page.getByRole('heading', { name: /250 pictures/ })).toBeVisible()
    await page.getByRole('searchbox', { name: 'Search pictures' }).fill('lighthouse -nothing')
    await expect(page.getByRole('heading', { name: /84 pictures/ })).toBeVisible()
    expect(new URL(page.url()).searchParams.get('q')).toBe('lighthouse -nothing')

    // A star by its key, on the picture with the focus.
    await tile(page, 'a lighthouse, number 3').focus()
    await page.keyboard.press('s')
    await expect(page.getByRole('listitem').filter({ hasText: 'Starred' })).toHaveCount(1)
    await expect.poll(async () => (await server.api<Listing>('GET', '/gallery?starred=true')).total).toBe(1)

    // All that match, those that were never in sight included.
    await page.keyboard.press('Control+a')
    const bar = page.getByRole('region', { name: 'Chosen pictures' })
    await expect(bar.getByText('84 pictures chosen')).toBeVisible()
    await bar.getByRole('button', { name: 'Star' }).click()
    await expect.poll(async () => (await server.api<Listing>('GET', '/gallery?starred=true')).total).toBe(84)

    const waiting = page.waitForEvent('download')
    await bar.getByRole('link', { name: 'Zip' }).click()
    const download = await waiting
    expect(listZip(readFileSync(await download.path()))).toHaveLength(84)

    await bar.getByRole('button', { name: 'Delete' }).click()
    await expect(page.getByText('No picture matches.')).toBeVisible()
    expect((await server.api<Listing>('GET', '/gallery')).total).toBe(166)
    await page.getByRole('button', { name: 'Undo' }).click()
    await expect(page.getByRole('heading', { name: /84 pictures/ })).toBeVisible()
    expect((await server.api<Listing>('GET', '/gallery?starred=true')).total).toBe(84)
  })

  test('chooses by mouse and keyboard, and keeps its state in the address', async ({ page, server }) => {
    await page.goto(server.page('gallery?model=model_1&starred=no'))
    await expect(page.getByRole('heading', { name: /125 pictures/ })).toBeVisible()
    await expect(page.getByRole('button', { name: 'Remove Model: model_1' })).toBeVisible()
    await tile(page, 'a meadow, number 1').click({ modifiers: ['Control'] })
    await tile(page, 'a harbour, number 5').click({ modifiers: ['Shift'] })
    await expect(page.getByText('3 pictures chosen')).toBeVisible()
    await page.keyboard.press('Shift+ArrowRight')
    await expect(page.getByText('4 pictures chosen')).toBeVisible()
    await page.keyboard.press('Escape')
    await expect(page.getByText('pictures chosen')).toHaveCount(0)

    // A rectangle from the first tile to the second.
    const [from, to] = [await tile(page, /number 1$/).boundingBox(), await tile(page, /number 3$/).boundingBox()]
    await page.mouse.move(from!.x + 60, from!.y + 60)
    await page.mouse.down()
    await page.mouse.move(to!.x + 60, to!.y + 60, { steps: 4 })
    await page.mouse.up()
    await expect(page.getByText('2 pictures chosen')).toBeVisible()
    await expect(page.getByRole('dialog')).toHaveCount(0)

    await page.getByRole('button', { name: 'Board' }).click()
    await page.getByRole('menuitem', { name: 'New board…' }).click()
    await page.getByLabel('Name').fill('Favourites')
    await page.getByRole('button', { name: 'Put on the board' }).click()
    await expect(page.getByText('On the board “Favourites”')).toBeVisible()
    await page.goto(server.page('gallery?board=Favourites'))
    await expect(page.getByRole('heading', { name: /2 pictures/ })).toBeVisible()
  })

  test('is looked at by keyboard alone, and found again after a reload', async ({ page, server }) => {
    await page.goto(server.page('gallery'))
    await tile(page, 'a lighthouse, number 0').focus()
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog', { name: 'Picture 2 of 250' })
    await expect(dialog.getByRole('img', { name: 'a meadow, number 1' })).toBeVisible()
    await expect(dialog.getByText('Settings in the file (AUTOMATIC1111)')).toBeVisible()
    await expect(dialog.getByRole('button', { name: 'Next picture' })).toBeEnabled()
    await page.keyboard.press('ArrowRight')
    await expect(page.getByRole('dialog', { name: 'Picture 3 of 250' })).toBeVisible()
    await page.keyboard.press('4')
    await expect(dialog.or(page.getByRole('dialog')).getByRole('button', { name: 'Rate 4 of 5' })).toHaveAttribute(
      'aria-pressed',
      'true',
    )
    await page.keyboard.press('+')
    await page.reload()
    const again = page.getByRole('dialog', { name: 'Picture 3 of 250' })
    await expect(again.getByRole('img', { name: 'a harbour, number 2' })).toBeVisible()
    await page.keyboard.press('Escape')
    await expect(page.getByRole('dialog')).toHaveCount(0)
    await expect(tile(page, 'a harbour, number 2')).toBeFocused()
    expect(new URL(page.url()).pathname).toBe('/ui/gallery')
    // A picture far down the list, by its address alone.
    const { items } = await server.api<Listing>('GET', '/gallery?offset=200&limit=1')
    await page.goto(server.page(`gallery/${items[0]!.id}`))
    await expect(page.getByRole('dialog', { name: 'Picture 201 of 250' })).toBeVisible()
    await page.keyboard.press('Escape')
    await expect(tile(page, items[0]!.prompt)).toBeFocused()
    await expect(tile(page, items[0]!.prompt).getByRole('img')).toHaveJSProperty('complete', true)
    // Deleted while it is looked at: the next one takes its place, and Undo is in reach.
    await page.keyboard.press('Enter')
    await expect(page.getByRole('dialog', { name: 'Picture 201 of 250' })).toBeVisible()
    await page.keyboard.press('Delete')
    await expect(page.getByRole('dialog', { name: 'Picture 201 of 249' })).toBeVisible()
    await page.getByRole('dialog').getByRole('button', { name: 'Undo' }).click()
    await expect(page.getByRole('dialog', { name: /of 250/ })).toBeVisible()
  })

  test('enlarges a picture, moves it by arrows, and still turns pages and rates by keys', async ({ page, server }) => {
    await page.goto(server.page('gallery'))
    await tile(page, 'a meadow, number 1').click()
    const dialog = page.getByRole('dialog', { name: 'Picture 2 of 250' })
    const image = dialog.getByRole('img', { name: 'a meadow, number 1' })
    const width = async () => Math.round((await image.boundingBox())!.width)
    // Four times its size at most, where it is small.
    await expect.poll(width).toBe(256)
    await page.keyboard.press('z')
    await expect.poll(width).toBe(512)
    await page.keyboard.press('z')
    await expect.poll(width).toBe(256)
    await page.keyboard.press('+')
    await expect.poll(width).toBe(320)
    await page.keyboard.press('-')
    await expect.poll(width).toBe(256)
    await dialog.getByRole('button', { name: 'Original size' }).click()
    await expect.poll(width).toBe(64)
    await dialog.getByRole('button', { name: 'Fit' }).click()
    await expect.poll(width).toBe(256)

    // With the focus on the picture, too: digits rate, and arrows move only what is larger than its frame.
    await image.click()
    await page.keyboard.press('1')
    await expect(dialog.getByRole('button', { name: 'Rate 1 of 5' })).toHaveAttribute('aria-pressed', 'true')
    await expect.poll(width).toBe(256)
    const pane = dialog.getByRole('application')
    const frame = (await pane.boundingBox())!
    await page.mouse.move(frame.x + frame.width / 2, frame.y + frame.height / 2)
    await page.mouse.wheel(0, -2000)
    await page.mouse.wheel(0, -2000)
    await page.mouse.wheel(0, -2000)
    await page.mouse.wheel(0, -2000)
    await expect.poll(width).toBeGreaterThan(frame.width)
    const before = (await image.boundingBox())!
    await page.keyboard.press('ArrowRight')
    await expect.poll(async () => Math.round((await image.boundingBox())!.x)).toBe(Math.round(before.x - 60))
    await expect(dialog).toBeVisible()
    await page.mouse.down()
    await page.mouse.move(frame.x + frame.width / 2 + 40, frame.y + frame.height / 2)
    await page.mouse.up()
    await expect.poll(async () => Math.round((await image.boundingBox())!.x)).toBe(Math.round(before.x - 20))
    await pane.dblclick()
    await expect.poll(width).toBe(256)
    await page.keyboard.press('ArrowRight')
    await expect(page.getByRole('dialog', { name: 'Picture 3 of 250' })).toBeVisible()
  })

  test('has a scrollbar for all of it, few tiles, and does not move for new ones', async ({ page, server }) => {
    await page.goto(server.page('gallery'))
    await expect(tile(page, 'a lighthouse, number 0')).toBeVisible()
    const list = page.getByRole('region', { name: 'Pictures' })
    await list.evaluate((element) => (element.scrollTop = element.scrollHeight))
    await expect(tile(page, 'a lighthouse, number 249')).toBeVisible()
    expect(await page.getByRole('listitem').count()).toBeLessThanOrEqual(400)
    const before = await list.evaluate((element) => element.scrollTop)
    await server.draw({ prompt: 'a new one' })
    await page.getByRole('button', { name: '1 new' }).waitFor()
    expect(await list.evaluate((element) => element.scrollTop)).toBe(before)
    await expect(tile(page, 'a lighthouse, number 249')).toBeVisible()
    await page.getByRole('button', { name: '1 new' }).click()
    await expect(tile(page, 'a new one')).toBeVisible()
    await page.getByRole('combobox', { name: 'Jump to a month' }).selectOption({ index: 4 })
    await expect(tile(page, 'a new one')).toHaveCount(0)
  })

  test('shows what a file says as text', async ({ page, server }) => {
    const evil = '<img src=x onerror="document.title=\'owned\'"><b>bold</b>'
    mkdirSync(join(server.outputDir, 'set0'), { recursive: true })
    makePng(
      join(server.outputDir, 'set0', 'evil.png'),
      `${evil}\nSteps: 20, Seed: 1, Model: ${evil}`,
      Date.now() / 1000,
    )
    await server.api('POST', '/gallery/scan', {})
    await page.goto(server.page('gallery'))
    await tile(page, evil).click()
    await expect(page.getByRole('dialog').getByText(evil).first()).toBeVisible()
    await expect(page).not.toHaveTitle('owned')
    expect(await page.locator('img[src="x"], dialog b').count()).toBe(0)
  })

  test('says what is empty, refused or missing', async ({ page, server, allowErrors }) => {
    allowErrors(/400|404/)
    await page.goto(server.page('gallery?q=unknownword'))
    await page.getByRole('button', { name: 'Clear filters' }).click()
    await expect(page.getByRole('heading', { name: /250 pictures/ })).toBeVisible()
    await page.getByRole('searchbox', { name: 'Search pictures' }).fill('!!!')
    await expect(page.getByRole('alert')).toContainText('letter or a digit')
    await expect(page.getByRole('searchbox', { name: 'Search pictures' })).toHaveAttribute('aria-invalid', 'true')
    // One that was never in sight: thumbnails that were are kept by the browser.
    rmSync(join(server.outputDir, 'set3', 'p203.png'))
    await page.goto(server.page('gallery?seed=203'))
    await expect(page.getByText('The file is missing')).toBeVisible()
    await page.goto(server.page('gallery?model=model_0'))
    await tile(page, 'a lighthouse, number 0').focus()
    await page.keyboard.press('Delete')
    await expect(page.getByRole('heading', { name: /124 pictures/ })).toBeVisible()
    await page.goto(server.page('gallery?bin=yes'))
    await expect(tile(page, 'a lighthouse, number 0')).toBeVisible()
    await page.keyboard.press('Control+a')
    await page.getByRole('button', { name: 'Restore' }).click()
    await expect(page.getByText('The recycle bin holds no single pictures.', { exact: false })).toBeVisible()
  })

  test('asks before it deletes for good, also where the bin was switched off meanwhile', async ({ page, server }) => {
    const bin = await server.api<object>('GET', '/settings/recycle-bin')
    await page.goto(server.page('gallery'))
    const remove = async (name: string) => {
      await tile(page, name).focus()
      await page.keyboard.press('Delete')
    }
    await remove('a lighthouse, number 0')
    await expect(page.getByText('1 picture moved to the recycle bin')).toBeVisible()
    await server.api('PUT', '/settings/recycle-bin', { ...bin, enabled: false })
    try {
      const asked = page.waitForEvent('dialog')
      await remove('a meadow, number 1')
      const question = await asked
      expect(question.message()).toBe('The recycle bin is switched off. Delete 1 picture for good?')
      await question.dismiss()
      await expect(page.getByRole('heading', { name: /249 pictures/ })).toBeVisible()
      page.once('dialog', (again) => void again.accept())
      await remove('a harbour, number 2')
      await expect(page.getByText('1 picture deleted')).toBeVisible()
      await expect(page.getByRole('heading', { name: /248 pictures/ })).toBeVisible()
      // The first deletion can still be taken back, this one cannot.
      await expect(page.getByRole('button', { name: 'Undo' })).toHaveCount(1)
      await expect(tile(page, 'a meadow, number 1')).toBeVisible()
    } finally {
      await server.api('PUT', '/settings/recycle-bin', bin)
    }
  })

  test('can be used by everybody', async ({ page, server }) => {
    await page.goto(server.page('gallery?model=model_1'))
    await expect(tile(page, 'a meadow, number 1')).toBeVisible()
    await expectEveryLook(page, 'gallery')
    await page.getByRole('button', { name: /Filters/ }).click()
    await expectEveryLook(page, 'gallery-filters')
    await page.keyboard.press('Escape')
    await page.goto(server.page('gallery'))
    await tile(page, 'a meadow, number 1').click({ modifiers: ['Control'] })
    await expectEveryLook(page, 'gallery-chosen')
    await page.keyboard.press('Escape')
    await tile(page, 'a meadow, number 1').click()
    await expect(page.getByRole('dialog').getByText('Settings in the file (AUTOMATIC1111)')).toBeVisible()
    await expectEveryLook(page, 'gallery-lightbox')
  })
})

/** Reads the names in a zip's directory. */
function listZip(bytes: Buffer): string[] {
  const end = bytes.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]))
  const count = bytes.readUInt16LE(end + 10)
  const names: string[] = []
  for (let at = bytes.readUInt32LE(end + 16), read = 0; read < count; read++) {
    expect(bytes.readUInt32LE(at)).toBe(0x02014b50)
    const [name, extra, comment] = [28, 30, 32].map((place) => bytes.readUInt16LE(at + place)) as [
      number,
      number,
      number,
    ]
    names.push(bytes.subarray(at + 46, at + 46 + name).toString())
    at += 46 + name + extra + comment
  }
  return names
}
