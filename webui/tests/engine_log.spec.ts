/** The log of each engine is read where there are several. */
import { expect, test } from './server'

test.use({ serverSettings: { 'engines.devices': 'cpu,cpu' } })

test('of several engines each has its log', async ({ page, server }) => {
  await page.goto(server.page('settings'))
  const about = page.getByRole('region', { name: 'About' })
  const asked = page.waitForRequest((request) => request.url().includes('engine=cpu%3A0'))
  await about.getByRole('button', { name: 'Log of the engine' }).click()
  await asked
  await expect(about.getByRole('region', { name: 'Log of the engine' })).toBeVisible()
  const other = page.waitForResponse((response) => response.url().includes('engine=cpu%3A1'))
  await about.getByRole('combobox', { name: 'Log of the engine' }).selectOption('cpu:1')
  expect((await other).status()).toBe(200)
})
