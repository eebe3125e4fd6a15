import { expect, test } from './server'
import { reachStores } from './stores'

test('two pictures are compared by keys and by pointer', async ({ page, server }) => {
  for (const seed of [1, 2]) await server.draw({ prompt: 'a red star', width: 64, height: 64, seed })
  const { items } = await server.api<{ items: unknown[] }>('GET', '/gallery?limit=2')
  await page.goto(server.page())
  await reachStores(page)
  await page.evaluate((pictures) => {
    ;(window as never as { stores: { desk: { compared: unknown[] } } }).stores.desk.compared = pictures
  }, items)
  const dialog = page.getByRole('dialog', { name: 'Compare' })
  const pane = dialog.getByRole('application')
  await expect(dialog.getByRole('combobox', { name: 'Left picture' })).toContainText('A seed 2')

  const divider = dialog.getByRole('slider', { name: 'Divider' })
  await divider.focus()
  await page.keyboard.press('ArrowRight')
  await expect(divider).toHaveValue('0.51')
  const frame = (await pane.boundingBox())!
  await page.mouse.move(frame.x + frame.width * 0.51, frame.y + frame.height * 0.4)
  await page.mouse.down()
  await page.mouse.move(frame.x + frame.width * 0.25, frame.y + frame.height * 0.4)
  await page.mouse.up()
  await expect(divider).toHaveValue('0.25')

  await pane.focus()
  await page.keyboard.press('3')
  await expect(dialog.getByRole('button', { name: 'Flip', exact: true })).toHaveAttribute('aria-pressed', 'true')
  const second = pane.getByRole('img', { name: 'B seed 1' })
  await expect(second).toBeHidden()
  await page.keyboard.down('Space')
  await expect(second).toBeVisible()
  await page.keyboard.up('Space')
  await expect(second).toBeHidden()

  // Side by side, both are zoomed together.
  await page.keyboard.press('4')
  await expect(pane).toHaveCount(2)
  const images = [0, 1].map((at) => pane.nth(at).locator('img'))
  const before = (await images[1]!.boundingBox())!
  await pane.first().hover()
  await page.mouse.wheel(0, -300)
  await expect.poll(async () => (await images[1]!.boundingBox())!.width).toBeGreaterThan(before.width * 1.2)

  await page.keyboard.press('5')
  await expect
    .poll(() =>
      pane.locator('canvas').evaluate((canvas: HTMLCanvasElement) => {
        const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
        return data.some((one, at) => at % 4 < 3 && one > 0)
      }),
    )
    .toBe(true)
  await page.keyboard.press('Escape')
  await expect(dialog).toBeHidden()
})
