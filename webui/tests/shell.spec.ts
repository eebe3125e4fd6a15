/** What surrounds every page: it is shown, by keyboard too, survives an absent server, signs in and out, lies below any path. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { axe, expect, expectEveryLook, expectNoOverflow, forEachLook, shoot, startSubPathProxy, test } from './server'

const PAGES = [
  ['', 'Generate'],
  ['queue', 'Queue'],
  ['gallery', 'Gallery'],
  ['models', 'Models'],
  ['upscale', 'Upscale'],
  ['assistant', 'Assistant'],
  ['settings', 'Settings'],
] as const

test('the address of the server leads to the page', async ({ page, server }) => {
  await page.goto(server.url)
  await expect(page).toHaveURL(server.page())
  await expect(page.getByRole('navigation', { name: 'Pages', exact: true })).toBeVisible()
})

for (const [path, name] of PAGES)
  test(`${name} is shown, has its name in the title, and axe finds nothing in any look`, async ({ page, server }) => {
    await server.untilModel()
    await page.goto(server.page(path))
    await expect(page).toHaveTitle(`${name} - sdcpp-rest`)
    await expect(page.getByRole('main')).toBeVisible()
    await forEachLook(page, async (look) => {
      const rail = page.getByRole('navigation', { name: look.width > 760 ? 'Pages' : 'Pages, phone', exact: true })
      await expect(rail).toBeVisible()
      const own = rail.getByRole('link', { name, exact: true })
      if (look.width > 760) await expect(own).toHaveAttribute('aria-current', 'page')
      await expectNoOverflow(page)
      await axe(page)
      await shoot(page, `shell-${path || 'generate'}-${look.name}`)
    })
  })

test('an address that leads nowhere says so and leads back', async ({ page, server }) => {
  await page.goto(server.page('nowhere'))
  await expect(page.getByRole('heading', { name: 'There is no such page' })).toBeVisible()
  await forEachLook(page, () => axe(page))
  await page.getByRole('button', { name: 'To Generate' }).click()
  await expect(page).toHaveURL(server.page())
})

test('pages open by two keys, by links and by the history', async ({ page, server }) => {
  await page.goto(server.page())
  await expect(page).toHaveTitle(/^Generate/)
  await page.keyboard.press('g')
  await page.keyboard.press('q')
  await expect(page).toHaveURL(server.page('queue'))
  await page.getByRole('navigation', { name: 'Pages', exact: true }).getByRole('link', { name: 'Gallery' }).click()
  await expect(page).toHaveTitle(/^Gallery/)
  await page.goBack()
  await expect(page).toHaveTitle(/^Queue/)
})

test('the list of keys opens and closes by keyboard', async ({ page, server }) => {
  await page.goto(server.page('queue'))
  await expect(page).toHaveTitle(/^Queue/)
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible()
  await forEachLook(page, () => axe(page))
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toBeHidden()
})

test('the first stop of the Tab key leads past the navigation', async ({ page, server }) => {
  await page.goto(server.page('queue'))
  await expect(page).toHaveTitle(/^Queue/)
  await page.keyboard.press('Tab')
  await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('main')).toBeFocused()
})

test('a server that is killed is told of, and its return needs no reload', async ({ page, ownServer }) => {
  await page.goto(ownServer.page('queue'))
  await expect(page).toHaveTitle(/^Queue/)
  const loads: string[] = []
  page.on('load', () => loads.push(page.url()))
  const banner = page.getByText('The server cannot be reached')
  await expect(banner).toBeHidden()
  await ownServer.kill()
  await expect(banner).toBeVisible()
  await expect(page.getByText('Server away')).toBeVisible()
  await forEachLook(page, () => axe(page, [], true))
  await ownServer.restart()
  await expect(banner).toBeHidden()
  await expect(page.getByText('Connected')).toBeVisible()
  expect(loads).toEqual([])
})

test.describe('with a key', () => {
  test.use({ serverSettings: { 'auth.api_keys': ['the-right-key'] } })

  test('signing in opens the page, signing out closes it', async ({ page, server, allowErrors }) => {
    // The browser itself logs every answer above 400.
    allowErrors(/status of 401/)
    await page.goto(server.page('gallery'))
    const field = page.getByLabel('Key')
    await expect(field).toBeFocused()
    await expectEveryLook(page, 'sign-in')
    await field.fill('a-wrong-key')
    await field.press('Enter')
    await expect(page.getByRole('alert')).toHaveText('That key is not one of this server’s')
    await expect(field).toBeFocused()
    await field.fill('the-right-key')
    await field.press('Enter')
    await expect(page).toHaveTitle(/^Gallery/)
    await expect(page.getByText('Connected')).toBeVisible()
    await page.reload()
    await expect(page).toHaveTitle(/^Gallery/)
    expect(await page.evaluate(() => fetch('../session', { method: 'DELETE' }).then((answer) => answer.ok))).toBe(true)
    await page.reload()
    await expect(page).toHaveTitle(/^Sign in/)
    await expect(page.getByLabel('Key')).toBeVisible()
  })

  test('a page of another origin reads nothing, signed in or not', async ({ page, server, allowErrors }) => {
    allowErrors(/CORS policy|net::ERR_FAILED|status of 40[13]|WebSocket connection/)
    await page.goto(server.page())
    await page.getByLabel('Key').fill('the-right-key')
    await page.getByLabel('Key').press('Enter')
    await expect(page).toHaveTitle(/^Generate/)
    const foreign = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<p>elsewhere</p>'))
    foreign.listen(0, '127.0.0.1')
    await once(foreign, 'listening')
    try {
      // Another host name: cookies do not tell ports apart.
      const other = await page.context().newPage()
      await other.goto(`http://localhost:${(foreign.address() as AddressInfo).port}/`)
      const told = await other.evaluate(async (url) => {
        const read = await fetch(`${url}/ui/bootstrap`, { credentials: 'include' }).then(
          (answer) => answer.text(),
          () => 'refused',
        )
        const heard = await new Promise<string>((resolve) => {
          const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`)
          socket.onmessage = (message) => resolve(String(message.data))
          socket.onerror = () => resolve('refused')
        })
        return { read, heard }
      }, server.url)
      expect(told).toEqual({ read: 'refused', heard: 'refused' })
      await other.close()
    } finally {
      foreign.close()
    }
  })
})

test('below a path of a proxy every address works, also deep ones and after a reload', async ({
  page,
  server,
  allowErrors,
}) => {
  // Picture 5 is not there: the page asks for it and says so.
  allowErrors(/404/)
  const proxy = await startSubPathProxy(server.url, '/pics/')
  try {
    await page.goto(`${proxy.url}ui/`)
    await expect(page.getByText('Connected')).toBeVisible()
    await page.getByRole('navigation', { name: 'Pages', exact: true }).getByRole('link', { name: 'Models' }).click()
    await expect(page).toHaveURL(`${proxy.url}ui/models`)
    await page.goto(`${proxy.url}ui/gallery/5`)
    await expect(page).toHaveTitle(/Gallery/)
    await page.reload()
    await expect(page).toHaveTitle(/Gallery/)
    await expect(page.getByText('Connected')).toBeVisible()
  } finally {
    await proxy.close()
  }
})

test('the icon of the window is a ring while something runs, which the policy lets be shown', async ({
  page,
  server,
}) => {
  await page.emulateMedia({ reducedMotion: 'no-preference' })
  await server.untilModel()
  await page.goto(server.page())
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).waitFor()
  const icon = page.locator('link[rel=icon]')
  await expect(icon).toHaveAttribute('href', /icon\.svg$/)
  const shown = page.evaluate(() => {
    const link = document.querySelector<HTMLLinkElement>('link[rel=icon]')!
    const seen: string[] = []
    return new Promise<{ seen: string[]; width: number }>((resolve) => {
      const watcher = new MutationObserver(() => {
        seen.push(link.href)
        if (!link.href.endsWith('icon.svg')) return
        watcher.disconnect()
        const image = new Image()
        image.onload = () => resolve({ seen, width: image.naturalWidth })
        image.onerror = () => resolve({ seen, width: 0 })
        image.src = seen[0]!
      })
      watcher.observe(link, { attributes: true, attributeFilter: ['href'] })
    })
  })
  await server.untilJob(await server.send({ prompt: 'a red circle', steps: 60 }))
  const { seen, width } = await shown
  expect(seen[0]).toMatch(/^data:image\/svg\+xml,/)
  expect(width).toBeGreaterThan(0)
  expect(seen.length, 'five per cent and more between two of them').toBeLessThanOrEqual(22)
})
