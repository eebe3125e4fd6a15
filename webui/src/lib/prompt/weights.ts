/** Changes weights by keys: of a selection, of the word or bracket under the cursor, of a LoRA. */
import { findMarks, type Mark } from './marks'

/** A change of the text: what is replaced, by what, and what is selected after it. */
export interface Edit {
  start: number
  end: number
  text: string
  selectionStart: number
  selectionEnd: number
}

const STEP = 0.1
const LORA_STEP = 0.05
const MOST = 10
const NO_WORD = /[\s,.()[\]{}<>|:;!?"'`~]/

function round(value: number): number {
  return Math.round(value * 100) / 100
}

/** Makes the change for one step up (1) or down (-1); null where there is nothing to weigh. */
export function changeWeight(text: string, from: number, to: number, direction: 1 | -1): Edit | null {
  const marks = findMarks(text)
  const around = marks.filter((one) => one.start <= from && to <= one.end)
  const lora = around.findLast((one) => one.kind === 'lora')
  if (lora) return weighLora(text, lora, direction)
  let [start, end] = trim(text, from, to)
  const isSelected = end > start
  const weight = around.findLast((one) => one.kind === 'weight')
  if (weight && (!isSelected || isWhole(text, weight, start, end))) return weighBracket(text, weight, direction)
  if (!isSelected) {
    // A tag is weighed as a whole; its parts are not words.
    const tag = around.find((one) => one.kind !== 'weight')
    if (tag) [start, end] = [tag.start, tag.end]
    else {
      start = end = from
      while (start > 0 && !NO_WORD.test(text[start - 1]!)) start -= 1
      while (end < text.length && !NO_WORD.test(text[end]!)) end += 1
    }
  }
  if (start === end) return null
  const inner = text.slice(start, end)
  return replaceBy(start, end, inner, 1 + direction * STEP)
}

/** Whether the selection is the bracket itself, or all that it holds. */
function isWhole(text: string, mark: Mark, start: number, end: number): boolean {
  const [innerStart, innerEnd] = trim(text, mark.innerStart, mark.innerEnd)
  return (start <= innerStart && end >= innerEnd) || (start === mark.start && end === mark.end)
}

function trim(text: string, from: number, to: number): [number, number] {
  let [start, end] = [from, to]
  while (start < end && /\s/.test(text[start]!)) start += 1
  while (end > start && /\s/.test(text[end - 1]!)) end -= 1
  return [start, end]
}

function weighLora(text: string, mark: Mark, direction: 1 | -1): Edit {
  const weight = Math.max(-MOST, Math.min(MOST, round((mark.weight ?? 1) + direction * LORA_STEP)))
  const rest = text.slice(mark.innerEnd, mark.end - 1).split(':')
  // A second weight, for the text encoder, stays.
  const more = rest.length > 2 ? `:${rest.slice(2).join(':')}` : ''
  const replaced = `${text.slice(mark.start, mark.innerEnd)}:${weight}${more}>`
  const caret = mark.start + replaced.length
  return { start: mark.start, end: mark.end, text: replaced, selectionStart: caret - 1, selectionEnd: caret - 1 }
}

function weighBracket(text: string, mark: Mark, direction: 1 | -1): Edit {
  const inner = text.slice(mark.innerStart, mark.innerEnd)
  // Brackets alone count as the step that they are nearest to.
  const isWritten = mark.innerEnd < mark.end - 1
  const weight = isWritten ? mark.weight! : Math.round(mark.weight! * 10) / 10
  return replaceBy(mark.start, mark.end, inner, weight + direction * STEP)
}

function replaceBy(start: number, end: number, inner: string, wanted: number): Edit {
  const weight = Math.max(0, Math.min(MOST, round(wanted)))
  if (weight === 1) return { start, end, text: inner, selectionStart: start, selectionEnd: start + inner.length }
  return {
    start,
    end,
    text: `(${inner}:${weight})`,
    selectionStart: start + 1,
    selectionEnd: start + 1 + inner.length,
  }
}
