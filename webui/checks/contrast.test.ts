/** The colours of both themes can be told apart by everybody: WCAG's ratios, for each pair that the page puts together. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const CSS = readFileSync(new URL('../src/styles/tokens.css', import.meta.url), 'utf8')
const SURFACES = ['panel', 'sunk', 'bg', 'stage']
const MARKS = ['mark-lora', 'mark-weight', 'mark-wild']
const INKS = ['text', 'soft', 'faint', 'accent', 'accent-hi', 'ok', 'warn', 'bad', ...MARKS]

/** Pairs of ink and surface with the least ratio that they need: text 4.5, what is only seen 3. */
const PAIRS: [ink: string, surface: string, least: number][] = [
  ...INKS.flatMap((ink) => SURFACES.map((surface): [string, string, number] => [ink, surface, 4.5])),
  ...['text', 'soft', 'faint', 'accent-hi'].map((ink): [string, string, number] => [ink, 'tint', 4.5]),
  ['text', 'raised', 4.5],
  ['on-accent', 'accent', 4.5],
  ['on-accent', 'accent-hi', 4.5],
  ['edge', 'panel', 3],
]

/** What a theme sets, shadows left out: those are no colour alone. */
function colours(selector: string): Map<string, string> {
  const block = CSS.split(`${selector} {`)[1]!.split('}')[0]!
  return new Map([...block.matchAll(/--([\w-]+):\s*(#\w+);/g)].map((found) => [found[1]!, found[2]!]))
}

function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
}

function ratio(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (light! + 0.05) / (dark! + 0.05)
}

it('measures as WCAG does', () => {
  expect(ratio('#000000', '#ffffff')).toBeCloseTo(21)
  expect(ratio('#777777', '#ffffff')).toBeCloseTo(4.48, 2)
})

const light = colours(':root')
const dark = colours("[data-theme='dark']")

it.each([
  ['light', light],
  ['dark', dark],
])('keeps the ratios in the %s theme', (_, theme) => {
  expect(theme.size).toBeGreaterThanOrEqual(20)
  const weak = PAIRS.map(([ink, surface, least]) => ({
    pair: `${ink} on ${surface}`,
    ratio: Math.round(100 * ratio(theme.get(ink)!, theme.get(surface)!)) / 100,
    least,
  })).filter((one) => !(one.ratio >= one.least))
  expect(weak).toEqual([])
})

it('names the same colours in both themes, each as #rrggbb', () => {
  expect([...dark.keys()]).toEqual([...light.keys()])
  expect([...light.values(), ...dark.values()].filter((one) => !/^#[0-9a-f]{6}$/.test(one))).toEqual([])
})
