/** Reaches the stores of the running page, so that a journey can begin where it is about to, whatever leads there. */
import type { Page } from '@playwright/test'

/** Makes `window.stores` out of what the page's own files export: `desk`, `drafts`, `server`. */
export async function reachStores(page: Page): Promise<void> {
  await page.waitForFunction(async () => {
    const addresses = [
      ...[...document.scripts].map((one) => one.src),
      ...performance.getEntriesByType('resource').map((one) => one.name),
    ].filter((one) => /\/assets\/[^/]+\.js$/.test(one))
    const found: Record<string, unknown> = {}
    for (const address of new Set(addresses))
      for (const value of Object.values((await import(address)) as Record<string, unknown>)) {
        if (typeof value !== 'object' || value === null) continue
        if ('editsMask' in value) found.desk = value
        if ('activeId' in value && 'submit' in value) found.drafts = value
        if ('preset' in value && 'latest' in value) found.server = value
      }
    Object.assign(window, { stores: found })
    const { server } = found as { server?: { phase: string } }
    return Boolean(found.desk && found.drafts && server?.phase === 'ready')
  })
}
