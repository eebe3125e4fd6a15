/**
 * Measures the gallery of a running server: `node tests/gallery_figures.mjs http://127.0.0.1:8080`. It tells times, and
 * fails for none: they are those of a machine that does other things, too. The number of tiles is what it checks.
 */
import { chromium } from '@playwright/test'

const MOST_TILES = 400
const start = `${process.argv[2] ?? 'http://127.0.0.1:8080'}/ui/`
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--enable-precise-memory-info'],
})
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
const tell = (name, value) => process.stdout.write(`${name.padEnd(58)} ${value}\n`)

await page.addInitScript(() => {
  window.longTasks = []
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) window.longTasks.push(Math.round(one.duration))
  }).observe({ type: 'longtask', buffered: true })
  const isShown = (link) => {
    const image = link.querySelector('img')
    if (!image?.complete || image.naturalWidth === 0) return false
    const box = link.getBoundingClientRect()
    return box.bottom > 0 && box.top < innerHeight
  }
  /** Resolves when all tiles in sight show their pictures (`what` is "all"), or the tile with a number does. */
  window.untilTiles = (what) =>
    new Promise((resolve) => {
      const look = () => {
        const links = [...document.querySelectorAll('a[data-index]')].filter((link) => {
          const box = link.getBoundingClientRect()
          return box.bottom > 0 && box.top < innerHeight
        })
        const done =
          what === 'first'
            ? links.some(isShown)
            : what === 'all'
              ? links.length > 0 && links.every(isShown)
              : links.some((link) => Number(link.dataset.index) === what && isShown(link))
        if (done) resolve(performance.now())
        else requestAnimationFrame(look)
      }
      look()
    })
})
const countTiles = () => page.evaluate(() => document.querySelectorAll('a[data-index]').length)
const takeLongTasks = () => page.evaluate(() => window.longTasks.splice(0))
const devtools = await page.context().newCDPSession(page)
const readHeap = async () => {
  const before = await page.evaluate(() => performance.memory.usedJSHeapSize)
  await devtools.send('HeapProfiler.collectGarbage')
  const after = await page.evaluate(() => performance.memory.usedJSHeapSize)
  return `${(before / 1e6).toFixed(1)} MB, ${(after / 1e6).toFixed(1)} MB after collecting`
}
let most = 0

for (const round of ['with nothing cached', 'again']) {
  await page.goto(`${start}gallery`)
  const first = await page.evaluate(() => window.untilTiles('first'))
  const all = await page.evaluate(() => window.untilTiles('all'))
  tell(`whole page loaded, ${round}: first tile / all in sight`, `${first.toFixed(0)} / ${all.toFixed(0)} ms`)
}
tell('  long tasks', JSON.stringify(await takeLongTasks()))

await page.goto(start)
await page.getByRole('link', { name: 'Gallery', exact: true }).first().waitFor()
await takeLongTasks()
for (const round of ['first', 'second']) {
  const [first, all] = await page.evaluate(async () => {
    const link = [...document.querySelectorAll('nav a')].find((one) => one.href.endsWith('/gallery'))
    const began = performance.now()
    link.click()
    return [(await window.untilTiles('first')) - began, (await window.untilTiles('all')) - began]
  })
  tell(`from another page, ${round} time: first tile / all in sight`, `${first.toFixed(0)} / ${all.toFixed(0)} ms`)
  if (round === 'first') await page.evaluate(() => document.querySelector('nav a').click())
}
tell('  long tasks', JSON.stringify(await takeLongTasks()))

const total = await page.evaluate(() => Number(document.querySelector('li[aria-setsize]').getAttribute('aria-setsize')))
const toPlace = (share, index) =>
  page.evaluate(
    async ([share, index]) => {
      const list = document.querySelector('.scroller')
      const began = performance.now()
      list.scrollTop = (list.scrollHeight - list.clientHeight) * share
      return (await window.untilTiles(index)) - began
    },
    [share, index],
  )
tell(`to the end of ${total} by the scrollbar`, `${(await toPlace(1, total - 1)).toFixed(0)} ms`)
tell('  tiles', (most = Math.max(most, await countTiles())))
tell('back to the beginning', `${(await toPlace(0, 0)).toFixed(0)} ms`)
tell('to the middle', `${(await toPlace(0.5, 'all')).toFixed(0)} ms`)
tell('  long tasks', JSON.stringify(await takeLongTasks()))

const drag = await page.evaluate(async () => {
  const list = document.querySelector('.scroller')
  const times = []
  for (let step = 0, last = performance.now(); step <= 240; step++) {
    list.scrollTop = ((list.scrollHeight - list.clientHeight) * step) / 240
    const now = await new Promise((resolve) => requestAnimationFrame(resolve))
    times.push(now - last)
    last = now
  }
  return times.sort((a, b) => a - b)
})
tell(
  'dragged over all of it in 240 frames: median / 95 % / worst',
  [0.5, 0.95, 1]
    .map((at) => `${drag[Math.min(drag.length - 1, Math.floor(drag.length * at))].toFixed(0)} ms`)
    .join(' / '),
)
most = Math.max(most, await countTiles())
tell('  long tasks', JSON.stringify(await takeLongTasks()))

for (let step = 0; step < 150; step++) await page.mouse.wheel(0, -400).catch(() => undefined)
await page.evaluate(() => window.untilTiles('all'))
tell('150 turns of the wheel: long tasks', JSON.stringify(await takeLongTasks()))
await page.evaluate(() => {
  const slider = document.querySelector('input[type=range]')
  slider.value = slider.min
  slider.dispatchEvent(new Event('input', { bubbles: true }))
})
await page.evaluate(() => window.untilTiles('all'))
most = Math.max(most, await countTiles())
tell('smallest tiles: tiles, long tasks', `${await countTiles()} ${JSON.stringify(await takeLongTasks())}`)
tell('most tiles', most)
tell('heap', await readHeap())
await browser.close()
if (most > MOST_TILES) {
  process.stderr.write(`more than ${MOST_TILES} tiles\n`)
  process.exitCode = 1
}
