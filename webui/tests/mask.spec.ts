import { expect, test, type RunningServer } from './server'
import { reachStores } from './stores'
import type { CDPSession, Page } from '@playwright/test'

interface Point {
  x: number
  y: number
}
interface Stroke {
  points: Point[]
  radius: number
  erases?: boolean
}

/** Draws a small picture and returns where it is below /output/. */
async function drawSource(server: RunningServer): Promise<string> {
  const { outputs } = await server.draw({ prompt: 'a green star', steps: 2, width: 64, height: 64, seed: 7 })
  return outputs[0]!
}

/** Opens the mask editor over a picture and returns how its pixels lie on the page. */
async function openEditor(page: Page, path: string): Promise<(point: Point) => Point> {
  await reachStores(page)
  await page.evaluate((source) => {
    const { desk, drafts } = (window as never as { stores: Record<string, never> }).stores as never as {
      desk: { editsMask: boolean }
      drafts: {
        change(run: (draft: { inputs: Record<string, unknown> }) => void): void
        set(f: string, v: unknown): void
      }
    }
    drafts.change((draft) => (draft.inputs.init = { from: 'output', path: source }))
    drafts.set('prompt', 'a green star')
    drafts.set('steps', 2)
    drafts.set('width', 64)
    drafts.set('height', 64)
    desk.editsMask = true
  }, path)
  const box = (await page.getByRole('application').locator('img').boundingBox())!
  return ({ x, y }) => ({ x: box.x + (x * box.width) / 64, y: box.y + (y * box.height) / 64 })
}

async function drawByMouse(
  page: Page,
  place: (point: Point) => Point,
  points: Point[],
  button: 'left' | 'right' = 'left',
) {
  const [first, ...rest] = points.map(place) as [Point, ...Point[]]
  await page.mouse.move(first.x, first.y)
  await page.mouse.down({ button })
  for (const one of rest) await page.mouse.move(one.x, one.y)
  await page.mouse.up({ button })
}

async function drawByTouch(cdp: CDPSession, place: (point: Point) => Point, points: Point[]): Promise<void> {
  const [first, ...rest] = points.map(place) as [Point, ...Point[]]
  await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [first] })
  for (const one of rest) await cdp.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: [one] })
  await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
}

async function drawByPen(cdp: CDPSession, place: (point: Point) => Point, points: Point[]): Promise<void> {
  const [first, ...rest] = points.map(place) as [Point, ...Point[]]
  const pen = { pointerType: 'pen', button: 'left', buttons: 1, force: 0.5 } as const
  await cdp.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...first, ...pen, clickCount: 1 })
  for (const one of rest) await cdp.send('Input.dispatchMouseEvent', { type: 'mouseMoved', ...one, ...pen })
  await cdp.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...rest.at(-1)!, ...pen, clickCount: 1 })
}

/** Reads how wide the mask is that the browser's database keeps with the first draft; to be run in the page. */
function readKeptMask(): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('sdcpp-rest')
    opening.onerror = () => reject(opening.error ?? new Error('no database'))
    opening.onsuccess = () => {
      const reading = opening.result.transaction('drafts').objectStore('drafts').getAll()
      reading.onsuccess = () => {
        opening.result.close()
        const [kept] = reading.result as { draft: { inputs: { mask?: { width: number } } } }[]
        resolve(kept?.draft.inputs.mask?.width)
      }
    }
  })
}

/** What the strokes cover, by the distance of each pixel's middle. */
function cover(strokes: Stroke[]): boolean[] {
  const pixels = new Array<boolean>(64 * 64).fill(false)
  for (const { points, radius, erases } of strokes)
    for (let at = 0; at < 64 * 64; at++) {
      const p = { x: (at % 64) + 0.5, y: Math.floor(at / 64) + 0.5 }
      const isNear = points.slice(1).some((b, index) => {
        const a = points[index]!
        const [dx, dy] = [b.x - a.x, b.y - a.y]
        const along = Math.max(0, Math.min(1, ((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy)))
        return Math.hypot(p.x - a.x - dx * along, p.y - a.y - dy * along) <= radius
      })
      if (isNear) pixels[at] = !erases
    }
  return pixels
}

test('a mask drawn by mouse, touch and pen reaches the server as it was drawn', async ({ page, server }) => {
  const source = await drawSource(server)
  await page.goto(server.page())
  const place = await openEditor(page, source)
  const dialog = page.getByRole('dialog', { name: 'Mask' })
  const cdp = await page.context().newCDPSession(page)
  const radius = 3
  const mouse = [
    { x: 10, y: 10 },
    { x: 30, y: 12 },
    { x: 40, y: 26 },
  ]
  const touch = [
    { x: 10, y: 30 },
    { x: 16, y: 40 },
    { x: 30, y: 44 },
  ]
  const pen = [
    { x: 40, y: 40 },
    { x: 52, y: 44 },
    { x: 52, y: 56 },
  ]
  const eraser = [
    { x: 20, y: 4 },
    { x: 20, y: 20 },
  ]
  const right = [
    { x: 48, y: 38 },
    { x: 48, y: 50 },
  ]

  await drawByMouse(page, place, mouse)
  await drawByTouch(cdp, place, touch)
  await drawByPen(cdp, place, pen)
  await page.keyboard.press('e')
  await expect(dialog.getByRole('button', { name: 'Eraser' })).toHaveAttribute('aria-pressed', 'true')
  await drawByMouse(page, place, eraser)
  await page.keyboard.press('b')
  await drawByMouse(page, place, right, 'right')

  // One stroke too many, taken back; and once more back and forth.
  await drawByMouse(page, place, [
    { x: 2, y: 60 },
    { x: 60, y: 60 },
  ])
  await page.keyboard.press('Control+z')
  await page.keyboard.press('Control+z')
  await page.keyboard.press('Control+Shift+z')

  // A pen was seen: a single touch is the palm now. Two fingers move and zoom, and paint nothing.
  await drawByTouch(cdp, place, [
    { x: 4, y: 60 },
    { x: 60, y: 4 },
  ])
  const [one, two] = [place({ x: 20, y: 20 }), place({ x: 40, y: 40 })]
  await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ ...one, id: 1 }] })
  await cdp.send('Input.dispatchTouchEvent', {
    type: 'touchStart',
    touchPoints: [
      { ...one, id: 1 },
      { ...two, id: 2 },
    ],
  })
  for (const far of [20, 60, 120])
    await cdp.send('Input.dispatchTouchEvent', {
      type: 'touchMove',
      touchPoints: [
        { x: one.x - far, y: one.y - far, id: 1 },
        { x: two.x + far, y: two.y + far, id: 2 },
      ],
    })
  await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
  const image = page.getByRole('application').locator('img')
  const before = (await image.boundingBox())!
  await page.mouse.wheel(0, -200)
  await expect.poll(async () => (await image.boundingBox())!.width).toBeGreaterThan(before.width)

  // Drawn while zoomed in: it lies where it is seen.
  const zoomed = (await image.boundingBox())!
  const close = [
    { x: 28, y: 30 },
    { x: 34, y: 34 },
  ]
  await drawByMouse(
    page,
    ({ x, y }) => ({ x: zoomed.x + (x * zoomed.width) / 64, y: zoomed.y + (y * zoomed.height) / 64 }),
    close,
  )
  await dialog.getByRole('button', { name: 'Use mask' }).click()
  await expect(dialog).toBeHidden()

  const id = await page.evaluate(async () => {
    const { drafts } = (window as never as { stores: { drafts: { submit(): Promise<{ job_id: string }> } } }).stores
    return (await drafts.submit()).job_id
  })
  expect((await server.untilJob(id)).status).toBe('completed')
  const received = await page.evaluate(async (address) => {
    const picture = new Image()
    picture.src = address
    await picture.decode()
    const context = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight).getContext('2d')!
    context.drawImage(picture, 0, 0)
    const { data } = context.getImageData(0, 0, picture.naturalWidth, picture.naturalHeight)
    return Array.from({ length: data.length / 4 }, (_, at) => data[at * 4]! >= 128)
  }, `${server.url}/jobs/${id}/inputs/mask_image`)
  const drawn = cover([
    { points: mouse, radius },
    { points: touch, radius },
    { points: pen, radius },
    { points: eraser, radius, erases: true },
    { points: right, radius, erases: true },
    { points: close, radius },
  ])
  expect(received).toHaveLength(64 * 64)
  const both = drawn.filter((one, at) => one && received[at]).length
  const any = drawn.filter((one, at) => one || received[at]).length
  expect(both / any).toBeGreaterThanOrEqual(0.98)

  // The result is compared with what it was made of, becomes the next source, and can be stepped back from.
  await page.evaluate(
    () => ((window as never as { stores: { desk: { editsMask: boolean } } }).stores.desk.editsMask = true),
  )
  await dialog.getByRole('button', { name: 'Compare with its source' }).click()
  const compare = page.getByRole('dialog', { name: 'Compare' })
  await expect(compare.getByRole('combobox', { name: 'Left picture' })).toContainText('Start picture')
  await expect(compare.getByRole('img', { name: 'A Start picture' })).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(compare).toBeHidden()
  await dialog.getByRole('button', { name: 'Accept as new source' }).click()
  await expect(dialog.getByText('The result is the new source.')).toBeVisible()
  await dialog.getByRole('button', { name: 'Earlier source' }).click()
  await expect(dialog.getByText('The earlier source is back.')).toBeVisible()
  await page.keyboard.press('Escape')

  // The mask stays for the next try, once the browser has written it.
  await expect.poll(() => page.evaluate(readKeptMask)).toBe(64)
  await page.reload()
  await openEditor(page, source)
  await expect(dialog.getByRole('button', { name: 'Undo' })).toBeDisabled()
  await dialog.getByRole('button', { name: 'Use mask' }).click()
  await expect(dialog).toBeHidden()
})

test('a mask is drawn by keys alone', async ({ page, server }) => {
  const source = await drawSource(server)
  await page.goto(server.page())
  await openEditor(page, source)
  const dialog = page.getByRole('dialog', { name: 'Mask' })
  await page.getByRole('application').focus()
  for (const key of ['ArrowRight', 'ArrowDown', 'Enter', 'ArrowRight', 'Space', 'ArrowDown', 'Shift+Enter'])
    await page.keyboard.press(key)
  await expect(dialog.getByRole('button', { name: 'Undo' })).toBeEnabled()
  for (let step = 0; step < 2; step++) await page.keyboard.press('Control+z')
  await expect(dialog.getByRole('button', { name: 'Redo' })).toBeEnabled()
  await expect(dialog.getByRole('button', { name: 'Undo' })).toBeEnabled()
  await page.keyboard.press('Control+z')
  await expect(dialog.getByRole('button', { name: 'Undo' })).toBeDisabled()
  await page.keyboard.press('Escape')
  await expect(dialog).toBeHidden()
})

test('a picture is extended, and stepped back to', async ({ page, server }) => {
  const source = await drawSource(server)
  await page.goto(server.page())
  await openEditor(page, source)
  const dialog = page.getByRole('dialog', { name: 'Mask' })
  await dialog.getByRole('button', { name: 'Extend the picture' }).click()
  await dialog.getByRole('spinbutton', { name: 'Right' }).fill('64')
  await dialog.getByRole('spinbutton', { name: 'Right' }).press('Tab')
  await dialog.getByRole('button', { name: 'Use mask' }).click()
  await expect(dialog).toBeHidden()
  const readSize = () =>
    page.evaluate(() => {
      const { drafts } = (window as never as { stores: { drafts: { active: never; value(f: string): number } } }).stores
      const { inputs } = drafts.active as { inputs: Record<string, { from: string; width?: number }> }
      return [drafts.value('width'), drafts.value('height'), inputs.init?.from, inputs.mask?.width]
    })
  expect(await readSize()).toEqual([128, 64, 'file', 128])
  await page.evaluate(
    () => ((window as never as { stores: { desk: { editsMask: boolean } } }).stores.desk.editsMask = true),
  )
  await dialog.getByRole('button', { name: 'Earlier source' }).click()
  await expect(dialog.getByText('The earlier source is back.')).toBeVisible()
  expect(await readSize()).toEqual([64, 64, 'output', undefined])
})
