/** A server that does not answer as it should: the page says so, and begins when it does. */
import { axe, expect, expectEveryLook, test } from './server'

const START = /\/ui\/bootstrap$/

test('a server that answers with an error is told, and tried again by a button', async ({
  page,
  server,
  allowErrors,
}) => {
  allowErrors(/500/)
  await page.route(START, (route) =>
    route.fulfill({ status: 500, json: { error: 'out of order', code: 'internal_error' } }),
  )
  await page.goto(server.page(''))
  await expect(page.getByRole('heading', { name: 'The page could not begin' })).toBeVisible()
  await expect(page.getByText('out of order')).toBeVisible()
  await expectEveryLook(page, 'start-failed')
  await page.unroute(START)
  await page.getByRole('button', { name: 'Try again' }).click()
  await expect(page.getByText('Connected')).toBeVisible()
  await expect(page.getByRole('textbox', { name: 'Prompt', exact: true })).toBeVisible()
})

test('an older server, which has no such answer, is told', async ({ page, server, allowErrors }) => {
  allowErrors(/404/)
  await page.route(START, (route) =>
    route.fulfill({ status: 404, contentType: 'text/html', body: '<h1>Not <b>found</b></h1>' }),
  )
  await page.goto(server.page(''))
  await expect(page.getByText('be a version without this page')).toBeVisible()
  await expect(page.getByText('HTTP 404')).toBeVisible()
})

test('a server that refuses the address names the setting', async ({ page, server, allowErrors }) => {
  allowErrors(/403/)
  const refusal = { error: "host 'x' is not allowed", code: 'not_allowed', setting: 'server.allowed_hosts' }
  await page.route(START, (route) => route.fulfill({ status: 403, json: refusal }))
  await page.goto(server.page(''))
  await expect(page.getByText('server.allowed_hosts')).toBeVisible()
  await axe(page)
})

test('a server that hangs is waited for, in words after a while', async ({ page, server }) => {
  let answer = (): void => undefined
  const answered = new Promise<void>((resolve) => (answer = resolve))
  await page.route(START, async (route) => {
    await answered
    await route.continue()
  })
  await page.goto(server.page(''))
  await expect(page.getByText('takes long to answer')).toBeVisible()
  await axe(page)
  answer()
  await expect(page.getByRole('button', { name: /^Generate/ }).first()).toBeVisible()
})
