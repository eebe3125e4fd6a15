/** The page stays light: what is loaded first, what each page adds, and all of it. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { everything, firstLoad, furtherPages, weigh, type Manifest } from './budgets'

const FOLDER = fileURLToPath(new URL('../../sdcpp_rest/webui_dist', import.meta.url))
const MANIFEST = join(FOLDER, 'manifest.json')
const FIRST = 110_000
const FURTHER = 40_000
const ALL = 300_000

describe('what is counted', () => {
  const manifest: Manifest = {
    _start: { file: 'app.js', imports: ['_shared'], css: ['app.css'], dynamicImports: ['_late'] },
    _shared: { file: 'shared.js' },
    _late: { file: 'late.js' },
    'src/messages/en/first.ts': { file: 'en.js' },
    'src/pages/generate/GeneratePage.svelte': { file: 'generate.js', imports: ['_shared'], dynamicImports: ['_mask'] },
    _mask: { file: 'mask.js' },
    'src/pages/queue/QueuePage.svelte': { file: 'queue.js', imports: ['_shared', '_list'], dynamicImports: ['_mask'] },
    _list: { file: 'list.js', css: ['list.css'] },
  }

  const html =
    '<script src="./theme.js"></script><script src="./app.js"></script><link href="./app.css"><link href="./icon.svg">'
  const first = firstLoad(manifest, html)

  it('is, at first, what the shell and Generate need at once', () => {
    expect([...first].sort()).toEqual(
      ['app.css', 'app.js', 'en.js', 'generate.js', 'index.html', 'shared.js', 'theme.js'].sort(),
    )
  })

  it('is never less because something has another name now', () => {
    expect(() => firstLoad(manifest, '<script src="./other.js"></script>')).toThrow()
    const { 'src/messages/en/first.ts': _, ...without } = manifest
    expect(() => firstLoad(without, html)).toThrow()
  })

  it('is, for a further page, all that it may load besides', () => {
    expect(furtherPages(manifest, first)).toEqual(
      new Map([['queue', new Set(['queue.js', 'list.js', 'list.css', 'mask.js'])]]),
    )
  })
})

describe.skipIf(!existsSync(MANIFEST) && !process.env.SDCPP_REST_NO_SKIPS)('budgets of the built page', () => {
  it('are kept', () => {
    const manifest = JSON.parse(readFileSync(MANIFEST, 'utf8')) as Manifest
    const first = firstLoad(manifest, readFileSync(join(FOLDER, 'index.html'), 'utf8'))
    const rows: [string, number, number][] = [
      ['first load', weigh(FOLDER, first), FIRST],
      ...[...furtherPages(manifest, first)].map(([name, files]): [string, number, number] => [
        name,
        weigh(FOLDER, files),
        FURTHER,
      ]),
      ['all scripts and styles', weigh(FOLDER, everything(FOLDER)), ALL],
    ]
    const table = rows.map(
      ([name, bytes, limit]) =>
        `  ${name.padEnd(24)}${(bytes / 1000).toFixed(1).padStart(7)} of ${limit / 1000} kB${bytes > limit ? '  TOO MUCH' : ''}`,
    )
    process.stdout.write(`gzip -9 of the built page\n${table.join('\n')}\n`)
    expect(rows.length).toBeGreaterThanOrEqual(8)
    expect(rows.filter(([, bytes, limit]) => bytes > limit).map(([name]) => name)).toEqual([])
  })
})
