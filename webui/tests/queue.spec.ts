/** Jobs as people see them: the preview and its end, the order of the queue, a reload in the middle, an engine that dies, pictures and what is done with them. */
import type { Page } from '@playwright/test'
import { expect, expectEveryLook, test } from './server'

const LONG = { steps: 60, batch_count: 3, seed: 1 }
const SHORT = { steps: 1, batch_count: 1, seed: 1 }

const stage = (page: Page) => page.getByRole('region', { name: 'Picture' })

test.beforeEach(async ({ server }) => {
  await server.untilModel()
})
test.afterEach(async ({ server }) => {
  await server.cancelJobs()
})

test('a picture is seen while it is drawn, cancelled, queued again, and the model stays', async ({ page, server }) => {
  await page.goto(server.page())
  await server.send({ prompt: 'a red circle', ...LONG })
  await expect(page.getByRole('img', { name: 'Preview: a red circle' })).toBeVisible()
  await expect(stage(page).getByText(/Step \d+ of 60/)).toBeVisible()
  await expect(stage(page).getByText(/left$/)).toBeVisible()
  await expectEveryLook(page, 'stage-running')
  await page.keyboard.press('Control+Alt+Enter')
  await expect(page.getByText('Cancelled', { exact: true })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Cancel', exact: true })).toHaveCount(0)
  expect((await server.health()).model_loaded).toBe(true)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByRole('img', { name: 'Preview: a red circle' })).toBeVisible()
})

test('five jobs are paused, moved by the pointer, by keys and by the menu, begun, and made again', async ({
  page,
  server,
}) => {
  await page.goto(server.page('queue'))
  await page.getByRole('button', { name: 'Pause' }).click()
  await expect(page.getByText('Paused. Nothing begins')).toBeVisible()
  for (const name of ['one', 'two', 'three', 'four', 'five']) await server.send({ prompt: name, ...SHORT })
  const list = page.getByRole('list', { name: 'Waiting' })
  const expectOrder = (...names: string[]): Promise<void> =>
    expect(list.locator(':scope > li p:first-child')).toHaveText(names)
  await expectOrder('one', 'two', 'three', 'four', 'five')
  await expectEveryLook(page, 'queue-waiting')

  const handle = (name: string) => list.getByRole('button', { name: `Move ${name},` })
  const from = (await handle('five').boundingBox())!
  const to = (await handle('two').boundingBox())!
  await page.mouse.move(from.x + 8, from.y + 8)
  await page.mouse.down()
  await page.mouse.move(from.x + 8, from.y - 20)
  await page.mouse.move(to.x + 8, to.y - 4)
  await page.mouse.up()
  await expectOrder('one', 'five', 'two', 'three', 'four')

  await handle('one').focus()
  await page.keyboard.press('ArrowDown')
  await expectOrder('five', 'one', 'two', 'three', 'four')
  await expect(handle('one')).toBeFocused()

  await list.getByRole('button', { name: 'More for: four' }).click()
  await page.getByRole('menuitem', { name: 'To the front' }).click()
  await expectOrder('four', 'five', 'one', 'two', 'three')

  await list.getByRole('button', { name: 'Change the title of: four' }).click()
  await page.getByRole('textbox', { name: 'Title' }).fill('The fourth')
  await page.keyboard.press('Enter')
  await expectOrder('The fourth', 'five', 'one', 'two', 'three')

  await page.getByRole('button', { name: 'Resume' }).click()
  await expect(page.getByRole('button', { name: 'Show on the stage: three' })).toBeVisible()
  await page.getByRole('button', { name: 'More for: The fourth' }).click()
  await page.getByRole('menuitem', { name: 'Again with a new seed' }).click()
  await expect(page.getByText('Added to the queue')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Show on the stage: The fourth' })).toHaveCount(2)
})

test('all that wait are cancelled in one click, and come back in one', async ({ page, server }) => {
  await page.goto(server.page('queue'))
  await page.getByRole('button', { name: 'Pause' }).click()
  await expect(page.getByText('Paused. Nothing begins')).toBeVisible()
  for (const name of ['left', 'right']) await server.send({ prompt: name, ...SHORT })
  const rows = page.getByRole('list', { name: 'Waiting' }).getByRole('listitem')
  await expect(rows).toHaveCount(2)
  await page.getByRole('button', { name: 'Cancel all waiting' }).click()
  await expect(page.getByText('2 jobs cancelled')).toBeVisible()
  await expect(rows).toHaveCount(0)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(rows).toHaveCount(2)
})

test('after a reload in the middle the same job goes on, with its preview and its time', async ({ page, server }) => {
  await page.goto(server.page())
  await server.send({ prompt: 'a blue square', ...LONG })
  await expect(page.getByRole('img', { name: 'Preview: a blue square' })).toBeVisible()
  await page.reload()
  await expect(page.getByRole('img', { name: 'Preview: a blue square' })).toBeVisible()
  await expect(stage(page).getByText(/Step \d+ of 60.*left$/)).toBeVisible()
})

test('an engine that is killed is told with a way out, and the next job works', async ({ page, server }) => {
  await page.goto(server.page())
  await server.send({ prompt: 'a green star', ...LONG })
  await expect(page.getByRole('img', { name: 'Preview: a green star' })).toBeVisible()
  await server.killEngine()
  const failed = page.getByRole('group', { name: 'Failed' })
  await expect(failed.getByText('The engine was restarted; try:')).toBeVisible()
  await expectEveryLook(page, 'stage-crashed')
  await failed.getByRole('link', { name: 'Details' }).click()
  await expect(page.getByRole('dialog').getByText('engine process ended').first()).toBeVisible()
  await page.goBack()
  await failed.getByRole('button', { name: 'Make again' }).click()
  await expect(page.getByRole('img', { name: 'Preview: a green star' })).toBeVisible()
})

test('a picture is starred, reused, varied, deleted and brought back', async ({ page, server }) => {
  await page.goto(server.page())
  await server.send({ prompt: 'a yellow triangle', ...SHORT })
  // The stage may show an older picture until this one is done.
  await expect(stage(page).getByRole('heading', { name: 'a yellow triangle' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Star', exact: true })).toBeVisible()
  await page.keyboard.press('s')
  await expect(page.getByRole('button', { name: 'Star', exact: true, pressed: true })).toBeVisible()
  await page.keyboard.press('r')
  await expect(page.getByText('Its settings are in the draft')).toBeVisible()
  await page.getByRole('button', { name: 'Vary' }).click()
  await page.getByRole('menuitem', { name: 'Vary a little' }).click()
  await expect(page.getByRole('list', { name: 'Pictures of this draft' }).getByRole('img')).toHaveCount(2)
  await page.keyboard.press('1')
  await expect(page.getByRole('button', { name: 'Star', exact: true, pressed: true })).toBeVisible()
  await page.keyboard.press('ArrowRight')
  await expect(page.getByRole('button', { name: 'Star', exact: true, pressed: false })).toBeVisible()
  await page.keyboard.press('Delete')
  await expect(page.getByText('Moved to the recycle bin')).toBeVisible()
  await expect(page.getByRole('list', { name: 'Pictures of this draft' }).getByRole('img')).toHaveCount(1)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByText('It is back')).toBeVisible()
})
