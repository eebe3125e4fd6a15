/** Reckons what a visitor loads, from Vite's manifest of the build: sizes are those of gzip -9. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

export interface Chunk {
  file: string
  imports?: string[]
  dynamicImports?: string[]
  css?: string[]
}
export type Manifest = Record<string, Chunk>

const PAGE = /^src\/pages\/(\w+)\/\w+Page\.svelte$/
const START = 'src/pages/generate/GeneratePage.svelte'
const WORDS = 'src/messages/en/first.ts'

/** All files of chunks and what they import: statically, with `lazily` also later. */
function filesOf(manifest: Manifest, keys: string[], lazily: boolean, known: ReadonlySet<string>): Set<string> {
  const files = new Set<string>()
  const seen = new Set<string>()
  const visit = (key: string): void => {
    const chunk = manifest[key]
    if (!chunk || seen.has(key)) return
    seen.add(key)
    // What is there already is neither counted nor followed: the shell names every page.
    if (known.has(chunk.file)) return
    files.add(chunk.file)
    for (const css of chunk.css ?? []) if (!known.has(css)) files.add(css)
    for (const one of [...(chunk.imports ?? []), ...(lazily ? (chunk.dynamicImports ?? []) : [])]) visit(one)
  }
  keys.forEach(visit)
  return files
}

/**
 * The files that are loaded before the first page, Generate, can be used in English. `html` is the page's start: the
 * manifest does not tell what it names once its script is put together with others. Generate may be part of that script.
 */
export function firstLoad(manifest: Manifest, html: string): Set<string> {
  const named = [...html.matchAll(/\s(?:src|href)="\.\/([^"]+\.(?:js|css))"/g)].map((found) => found[1]!)
  const keys = Object.keys(manifest).filter((key) => named.includes(manifest[key]!.file))
  if (keys.length === 0 || !(WORDS in manifest)) throw new Error('The first load is not what it was: look at this anew')
  return new Set(['index.html', ...named, ...filesOf(manifest, [...keys, WORDS, START], false, new Set())])
}

/** Each further page's own files: what it needs at once and may load later, without those of the first load. */
export function furtherPages(manifest: Manifest, first: ReadonlySet<string>): Map<string, Set<string>> {
  const pages = Object.keys(manifest).filter((key) => PAGE.test(key) && key !== START)
  return new Map(pages.map((key) => [PAGE.exec(key)![1]!, filesOf(manifest, [key], true, first)]))
}

/** All scripts and styles of the build. */
export function everything(folder: string): Set<string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return new Set(names.filter((name) => /\.(js|css)$/.test(name)))
}

/** Adds up files as they travel. */
export function weigh(folder: string, files: Iterable<string>): number {
  let sum = 0
  for (const file of files) sum += gzipSync(readFileSync(join(folder, file)), { level: 9 }).length
  return sum
}
