/** Pictures that belong together: one tile in the gallery, unfolded, chosen and deleted as what they are, growing while one looks. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { makePng } from './pictures'
import { expect, expectEveryLook, test } from './server'
import type { RunningServer } from './harness/running'

interface Listing {
  total: number
  items: { id: number; created_at: string }[]
}

const tile = (page: Page, name: string | RegExp) => page.getByRole('link', { name, exact: true })
const starred = async (server: RunningServer) => (await server.api<Listing>('GET', '/gallery?starred=true')).total

async function drawCell(server: RunningServer, id: string, cell: number): Promise<void> {
  const axes = [{ field: 'seed', values: [1, 2, 3] }]
  await server.draw({ prompt: 'a grid of boats', seed: cell + 1, group: { id, axes, cell: [cell] } })
}

test.describe('the gallery with groups', () => {
  test.beforeEach(async ({ server }) => {
    for (const name of readdirSync(server.outputDir)) rmSync(join(server.outputDir, name), { recursive: true })
    mkdirSync(join(server.outputDir, 'old'))
    const day = Date.now() / 1000 - 86_400
    for (let at = 0; at < 120; at++)
      makePng(
        join(server.outputDir, 'old', `p${at}.png`),
        `old, number ${at}\nSteps: 20, Sampler: Euler a, Seed: ${at}, Model: model_1`,
        day - at * 3600,
      )
    await server.api('POST', '/gallery/scan', { anew: true })
    await server.api('PUT', '/settings/preferences', { gallery: {} })
  })

  test('shows a batch and a grid as one tile each, and what is done to a tile is done to all of them', async ({
    page,
    server,
  }) => {
    await server.draw({ prompt: 'four birds', batch_count: 4 })
    await drawCell(server, 'two-boats', 0)
    await drawCell(server, 'two-boats', 1)
    await page.goto(server.page('gallery'))
    await expect(page.getByRole('heading', { name: /126 pictures/ })).toBeVisible()
    await page.getByRole('button', { name: 'Group' }).click()
    const birds = tile(page, '4 pictures: four birds')
    const boats = tile(page, '2 pictures: a grid of boats')
    await expect(birds).toBeVisible()
    await expect(boats).toBeVisible()
    await expect(page.getByRole('listitem').first()).toHaveAttribute('aria-setsize', '122')
    await expect(page.getByRole('heading', { name: /126 pictures/ })).toBeVisible()
    expect(new URL(page.url()).searchParams.get('grouped')).toBe('yes')
    await page.goto(server.page('gallery'))
    await expect(birds).toBeVisible()

    // By keyboard: a star for all, in, along, and out again to where one was.
    await boats.focus()
    await page.keyboard.press('ArrowRight')
    await expect(birds).toBeFocused()
    await page.keyboard.press('s')
    await expect.poll(() => starred(server)).toBe(4)
    await page.keyboard.press('Enter')
    await expect(page.getByRole('heading', { name: /4 pictures/ })).toBeVisible()
    await expect(tile(page, 'four birds')).toHaveCount(4)
    await expect(tile(page, 'four birds').first()).toBeFocused()
    await page.keyboard.press('Enter')
    await expect(page.getByRole('dialog', { name: 'Picture 1 of 4' })).toBeVisible()
    await expect(page.getByRole('dialog').getByRole('button', { name: 'Next picture' })).toBeEnabled()
    await page.keyboard.press('ArrowRight')
    await expect(page.getByRole('dialog', { name: 'Picture 2 of 4' })).toBeVisible()
    await page.keyboard.press('Escape')
    await expect(tile(page, 'four birds').nth(1)).toBeFocused()
    await page.keyboard.press('Escape')
    await expect(birds).toBeFocused()
    await birds.click()
    await page.getByRole('button', { name: 'Back to all' }).click()
    await expect(birds).toBeFocused()

    // A picture beside a group is one of all that there are.
    await tile(page, 'old, number 0').click()
    await expect(page.getByRole('dialog', { name: 'Picture 7 of 126' })).toBeVisible()
    await page.keyboard.press('Escape')

    await boats.click({ button: 'right' })
    await expect(page.getByRole('menuitem', { name: 'Delete 2 pictures' })).toBeVisible()
    await page.getByRole('menuitem', { name: 'Star 2 pictures' }).click()
    await expect.poll(() => starred(server)).toBe(6)
    await boats.click({ modifiers: ['Control'] })
    await birds.click({ modifiers: ['Control'] })
    const bar = page.getByRole('region', { name: 'Chosen pictures' })
    await expect(bar.getByText('6 pictures chosen')).toBeVisible()
    await expect(bar.getByRole('link', { name: 'Zip' })).toHaveAttribute('href', /ids=(\d+,){5}\d+$/)
    await bar.getByRole('button', { name: 'Delete' }).click()
    await expect(page.getByText('6 pictures moved to the recycle bin')).toBeVisible()
    await expect(page.getByRole('heading', { name: /120 pictures/ })).toBeVisible()
    await page.getByRole('button', { name: 'Undo' }).click()
    await expect(birds).toBeVisible()
    await page.keyboard.press('Control+a')
    await expect(page.getByText('126 pictures chosen')).toBeVisible()
  })

  test('lets a group grow in its tile, and moves nothing that one looks at', async ({ page, server }) => {
    await drawCell(server, 'three-boats', 0)
    await server.draw({ prompt: 'later than the first boat' })
    const { items } = await server.api<Listing>('GET', '/gallery?limit=1')
    // Times are told in whole seconds: what comes in the same one would be no newer.
    await expect.poll(() => Date.now()).toBeGreaterThan(Date.parse(items[0]!.created_at) + 1000)
    await page.goto(server.page('gallery?grouped=yes'))
    await expect(tile(page, 'a grid of boats')).toBeVisible()
    const list = page.getByRole('region', { name: 'Pictures' })
    await list.evaluate((element) => (element.scrollTop = 120))
    const places = () =>
      page.getByRole('listitem').evaluateAll((all) => all.slice(0, 30).map((one) => one.getBoundingClientRect().top))
    const before = await places()
    for (const count of [2, 3]) {
      await drawCell(server, 'three-boats', count - 1)
      await expect(tile(page, `${count} pictures: a grid of boats`)).toHaveAttribute('data-index', '1')
      await expect(page.getByRole('button', { name: '1 new' })).toBeVisible()
    }
    await expect(tile(page, 'old, number 0')).toHaveAttribute('data-index', '2')
    expect(await places()).toEqual(before)
    await page.getByRole('button', { name: '1 new' }).click()
    await expect(tile(page, '3 pictures: a grid of boats')).toHaveAttribute('data-index', '0')
    await expect(page.getByRole('button', { name: '1 new' })).toHaveCount(0)
  })

  test('can be used by everybody', async ({ page, server }) => {
    await server.draw({ prompt: 'four birds', batch_count: 4 })
    await page.goto(server.page('gallery?grouped=yes'))
    await expect(tile(page, '4 pictures: four birds')).toBeVisible()
    await expectEveryLook(page, 'gallery-groups')
    await tile(page, '4 pictures: four birds').click()
    await expect(page.getByRole('button', { name: 'Back to all' })).toBeVisible()
    await expectEveryLook(page, 'gallery-group')
  })
})
