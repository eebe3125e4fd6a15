/** Reads what somebody writes as the values of an axis of a comparison, and makes the requests of all cells. */
import type { Values } from '../drafts/draft'
import { stemOf } from '../models/names'

/**
 * `number`: any field with a number; `choice`: one of a list; `model`: the model, by its name with or without the ending;
 * `replace`: words of the prompt; `lora`: a LoRA's weight.
 */
export type AxisKind = 'number' | 'choice' | 'model' | 'replace' | 'lora'

export interface AxisSpec {
  /** The field of the request; for `lora` the LoRA's name, for `replace` `prompt`. */
  field: string
  kind: AxisKind
  /** What was written. */
  text: string
  /** For `number`. */
  isWhole?: boolean
  minimum?: number
  maximum?: number
  /** For `choice` and `model`: what there is. */
  choices?: readonly string[]
}

export type AxisProblem = {
  code:
    | 'empty'
    | 'too-many'
    | 'not-a-number'
    | 'not-whole'
    | 'out-of-range'
    | 'unknown-choice'
    | 'backwards'
    | 'not-in-prompt'
    | 'one-word'
  value: string
}

export interface AxisRead {
  values: (string | number)[]
  problem: AxisProblem | null
}

export const MOST_VALUES = 200

const RANGE = /^(-?\d+(?:\.\d+)?)\s*-\s*(-?\d+(?:\.\d+)?)(?:\s*(?:\(\s*\+?\s*(\d+(?:\.\d+)?)\s*\)|\[\s*(\d+)\s*\]))?$/

/** Splits a list at its commas, except inside double quotes. */
export function splitList(text: string): string[] {
  const parts: string[] = []
  for (const match of text.matchAll(/\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)/g)) {
    if (match.index === text.length && parts.length > 0 && !text.trimEnd().endsWith(',')) break
    const part = match[1] !== undefined ? match[1].replace(/\\(.)/g, '$1') : (match[2] ?? '').trim()
    if (part !== '' || match[1] !== undefined) parts.push(part)
  }
  return parts
}

/** Lists the numbers of `1-10 (+3)` (steps of three) or `0-1 [5]` (five of them); null: it is no range. */
export function readRange(text: string, isWhole: boolean): number[] | null | AxisProblem {
  const match = RANGE.exec(text.trim())
  if (!match) return null
  const from = Number(match[1])
  const to = Number(match[2])
  if (to < from) return { code: 'backwards', value: text.trim() }
  const count = match[4] ? Number(match[4]) : 0
  const step =
    count > 1 ? (to - from) / (count - 1) : match[3] ? Number(match[3]) : isWhole ? 1 : to - from > 1 ? 1 : 0.1
  if (step <= 0) return { code: 'backwards', value: text.trim() }
  const length = count === 1 ? 1 : Math.floor((to - from) / step + 1e-9) + 1
  if (length > MOST_VALUES) return { code: 'too-many', value: text.trim() }
  return Array.from({ length }, (_, at) => round(from + at * step, isWhole))
}

function round(value: number, isWhole: boolean): number {
  return isWhole ? Math.round(value) : Number(value.toFixed(6))
}

/** Reads the values of an axis. `prompt` is needed for `replace`, whose first word must stand in it. */
export function readAxis(spec: AxisSpec, prompt = ''): AxisRead {
  const fail = (code: AxisProblem['code'], value = ''): AxisRead => ({ values: [], problem: { code, value } })
  const values: (string | number)[] = []
  for (const part of splitList(spec.text)) {
    if (spec.kind === 'number' || spec.kind === 'lora') {
      const range = readRange(part, spec.isWhole ?? false)
      if (range !== null && !Array.isArray(range)) return { values: [], problem: range }
      const word = spec.kind === 'lora' ? { on: 1, an: 1, off: 0, aus: 0 }[part.toLowerCase()] : undefined
      const numbers = word !== undefined ? [word] : (range ?? [Number(part)])
      for (const number of numbers) {
        if (!Number.isFinite(number)) return fail('not-a-number', part)
        if (spec.isWhole && !Number.isInteger(number)) return fail('not-whole', part)
        if (number < (spec.minimum ?? -Infinity) || number > (spec.maximum ?? Infinity))
          return fail('out-of-range', String(number))
        values.push(number)
      }
    } else if (spec.kind === 'choice' || spec.kind === 'model') {
      const wanted = part.toLowerCase()
      const found =
        spec.choices?.find((one) => one.toLowerCase() === wanted) ??
        (spec.kind === 'model' ? spec.choices?.find((one) => stemOf(one).toLowerCase() === wanted) : undefined)
      if (found === undefined) return fail('unknown-choice', part)
      values.push(found)
    } else values.push(part)
    if (values.length > MOST_VALUES) return fail('too-many', spec.text.trim())
  }
  if (values.length === 0) return fail('empty')
  if (spec.kind === 'replace') {
    if (values.length < 2) return fail('one-word', String(values[0]))
    if (!prompt.includes(String(values[0]))) return fail('not-in-prompt', String(values[0]))
  }
  return { values: [...new Set(values)], problem: null }
}

export interface Axis {
  spec: AxisSpec
  values: (string | number)[]
}

export interface Cell {
  at: number[]
  body: Values
}

/**
 * Makes the requests of all cells, the last axis turning fastest, but the model slowest: each change of it is a load. A
 * seed that is drawn is one seed for all, given as `seed`.
 */
export function makeCells(base: Values, axes: readonly Axis[], groupId: string, seed: number): Cell[] {
  const shown = axes.map((axis) => ({
    field: axis.spec.kind === 'lora' ? `lora: ${axis.spec.field}` : axis.spec.field,
    values: axis.values,
  }))
  const total = axes.reduce((product, axis) => product * axis.values.length, 1)
  const cells = Array.from({ length: total }, (_, index): Cell => {
    const at: number[] = []
    let rest = index
    for (const axis of [...axes].reverse()) {
      at.unshift(rest % axis.values.length)
      rest = Math.floor(rest / axis.values.length)
    }
    const seeded = typeof base.seed === 'number' && base.seed >= 0 ? base.seed : seed
    const body = axes.reduce((made, axis, which) => applyValue(made, axis, at[which]!), {
      ...base,
      seed: seeded,
      batch_count: 1,
    } as Values)
    return { at, body: { ...body, group: { id: groupId, kind: 'grid', axes: shown, cell: at } } }
  })
  const model = axes.findIndex((axis) => axis.spec.kind === 'model')
  return model < 0 ? cells : cells.sort((a, b) => a.at[model]! - b.at[model]!)
}

/** Writes names as `splitList` reads them. */
export function joinList(names: readonly string[]): string {
  return names.map((name) => (/[",]|^\s|\s$/.test(name) ? JSON.stringify(name) : name)).join(', ')
}

/** Puts one value of an axis into a request. */
export function applyValue(body: Values, axis: Axis, which: number): Values {
  const value = axis.values[which]!
  const prompt = String(body.prompt ?? '')
  if (axis.spec.kind === 'replace') return { ...body, prompt: prompt.split(String(axis.values[0])).join(String(value)) }
  if (axis.spec.kind === 'lora') {
    const tag = new RegExp(`\\s*<lora:${escapeForRegExp(axis.spec.field)}(?::[^>]*)?>`, 'g')
    const without = prompt.replace(tag, '').trimEnd()
    return { ...body, prompt: value === 0 ? without : `${without} <lora:${axis.spec.field}:${value}>`.trimStart() }
  }
  return { ...body, [axis.spec.field]: value }
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
