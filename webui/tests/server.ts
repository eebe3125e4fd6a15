/**
 * What every test in a browser begins with:
 *
 *     import { test, expect, axe, forEachLook } from './server'
 *     test('…', async ({ page, server }) => { await page.goto(server.page('gallery')) })
 *
 * `server` is a real server of this checkout. The tests of one file share it as long as they ask for the same
 * (`test.use({ serverSettings: { 'auth.api_keys': ['k'] } })`); one that was killed is started again for the next.
 * `ownServer` is a fresh one for this test alone. `page` expects at the end that nothing was logged as an error, and
 * that no request left the servers of the tests.
 */
import { test as base, expect, type ConsoleMessage } from '@playwright/test'
import { knownOrigins, outages, RunningServer, type ServerOptions } from './harness/running'

export interface TestOptions {
  serverSettings: NonNullable<ServerOptions['settings']>
  serverEnv: NonNullable<ServerOptions['env']>
  modelFiles: NonNullable<ServerOptions['modelFiles']>
}

interface TestFixtures {
  server: RunningServer
  ownServer: RunningServer
  /** Names what this test's page may log as an error: `allowErrors(/401/)`. */
  allowErrors: (pattern: RegExp) => void
  allowed: RegExp[]
}

/** Keeps the server that was asked for last; two at a time would be too much for a small machine. */
class ServerShelf {
  private key = ''
  private kept: RunningServer | null = null

  async take(key: string, options: ServerOptions): Promise<RunningServer> {
    if (this.kept && this.key !== key) await this.empty()
    this.key = key
    this.kept ??= await RunningServer.start(options)
    if (!this.kept.isRunning) await this.kept.restart()
    return this.kept
  }

  async empty(): Promise<void> {
    await this.kept?.close()
    this.kept = null
  }
}

export const test = base.extend<TestOptions & TestFixtures, { shelf: ServerShelf }>({
  serverSettings: [{}, { option: true }],
  serverEnv: [{}, { option: true }],
  modelFiles: [{}, { option: true }],

  shelf: [
    // eslint-disable-next-line no-empty-pattern -- Playwright reads the pattern
    async ({}, use) => {
      const shelf = new ServerShelf()
      await use(shelf)
      await shelf.empty()
    },
    { scope: 'worker', timeout: 120_000 },
  ],

  server: async ({ shelf, serverSettings, serverEnv, modelFiles }, use, testInfo) => {
    const options = { settings: serverSettings, env: serverEnv, modelFiles }
    const server = await shelf.take(testInfo.file + JSON.stringify(options), options)
    await use(server)
    if (testInfo.status !== testInfo.expectedStatus)
      await testInfo.attach('server.log', { body: server.log, contentType: 'text/plain' })
  },

  ownServer: async ({ serverSettings, serverEnv, modelFiles }, use, testInfo) => {
    const server = await RunningServer.start({ settings: serverSettings, env: serverEnv, modelFiles })
    await use(server)
    if (testInfo.status !== testInfo.expectedStatus)
      await testInfo.attach('server.log', { body: server.log, contentType: 'text/plain' })
    await server.close()
  },

  // eslint-disable-next-line no-empty-pattern -- Playwright reads the pattern
  allowed: async ({}, use) => use([]),
  allowErrors: async ({ allowed }, use) => use((pattern) => void allowed.push(pattern)),

  page: async ({ page, allowed }, use) => {
    const errors: string[] = []
    const foreign: string[] = []
    outages.clear()
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return
      const text = tellMessage(message)
      if (!/net::ERR_|WebSocket connection to/.test(text) || ![...outages].some((host) => text.includes(host)))
        errors.push(text)
    })
    page.on('pageerror', (error) => errors.push(error.stack ?? error.message))
    const look = (address: string): void => {
      const url = new URL(address.replace(/^ws/, 'http'))
      if (/^https?:$/.test(url.protocol) && !knownOrigins.has(url.origin)) foreign.push(address)
    }
    page.on('request', (request) => look(request.url()))
    page.on('websocket', (socket) => look(socket.url()))

    await use(page)

    expect(foreign, 'requests that left the server').toEqual([])
    expect(
      errors.filter((text) => !allowed.some((one) => one.test(text))),
      'errors of the page',
    ).toEqual([])
  },
})

function tellMessage(message: ConsoleMessage): string {
  const { url, lineNumber } = message.location()
  return `${message.text()} (${url}:${lineNumber})`
}

export { expect }
export { startJob } from './harness/jobs'
export { axe, expectEveryLook, expectNoOverflow, forEachLook, shoot } from './harness/looks'
export { startSubPathProxy } from './harness/proxy'
export { RunningServer } from './harness/running'
