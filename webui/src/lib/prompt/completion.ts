/** Finds what is to be completed before the cursor, and what may stand there. */
import { findMarks, type Mark } from './marks'
import { searchNames } from '../fuzzy'
import { nameInPrompt, wordOfFile } from './names'
import type { Edit } from './weights'

export type SuggestionKind = 'lora' | 'wildcard' | 'embedding' | 'trigger' | 'style' | 'tag'

export interface Suggestion {
  kind: SuggestionKind
  /** The model's file, or the name as it is. */
  name: string
  /** What is shown. */
  label: string
}

/** What is being typed: which words are wanted, and where the typed ones begin. */
export interface Query {
  start: number
  text: string
  kinds: readonly SuggestionKind[]
  /** Whether a sign has asked for it (`<`, `__`); else it is a guess at a word. */
  isAsked: boolean
}

/** What the server and the prompt offer. */
export interface Offer {
  loras: readonly string[]
  wildcards: readonly string[]
  embeddings: readonly string[]
  styles: readonly string[]
  /** Trigger words of the LoRAs in the prompt. */
  triggers: readonly string[]
}

const LOOKS_BACK = 200
const MOST = 8
const SHORTEST_WORD = 2
/** Tags that are offered by their names, with what is written for them; `|` is where the cursor goes. */
const TAGS: Record<string, string> = {
  random: '<random:|>',
  wildcard: '<wildcard:|>',
  repeat: '<repeat[2]:|>',
  trigger: '<trigger>|',
  setvar: '<setvar[|]:>',
  var: '<var:|>',
  preset: '<preset:|>',
  comment: '<comment:|>',
}
const KINDS_OF_TAG: Record<string, readonly SuggestionKind[]> = {
  lora: ['lora'],
  lyco: ['lora'],
  wildcard: ['wildcard'],
  wc: ['wildcard'],
  embed: ['embedding'],
  embedding: ['embedding'],
  preset: ['style'],
  p: ['style'],
}

/** Reads what stands before the cursor; null where nothing is to be completed. */
export function findQuery(text: string, caret: number): Query | null {
  const from = Math.max(0, caret - LOOKS_BACK)
  const head = text.slice(from, caret)
  const tag = /<[ \t]*([A-Za-z]+):([^<>:,]*)$/.exec(head)
  if (tag) {
    const kinds = KINDS_OF_TAG[tag[1]!.toLowerCase()]
    return kinds ? { start: from + tag.index, text: tag[2]!, kinds, isAsked: true } : null
  }
  const opened = /<([\p{L}\p{N}_./-]*)$/u.exec(head)
  if (opened)
    return {
      start: from + opened.index,
      text: opened[1]!,
      kinds: ['lora', 'wildcard', 'embedding', 'tag'],
      isAsked: true,
    }
  const wild = /(?<![\p{L}\p{N}_])__((?:(?!__)[\p{L}\p{N}_./-])*)$/u.exec(head)
  if (wild) return { start: from + wild.index, text: wild[1]!, kinds: ['wildcard'], isAsked: true }
  const word = /[\p{L}\p{N}][\p{L}\p{N}_.-]*$/u.exec(head)
  // In the middle of a word nothing is guessed.
  if (!word || word[0].length < SHORTEST_WORD || /[\p{L}\p{N}_]/u.test(text[caret] ?? '')) return null
  return { start: from + word.index, text: word[0], kinds: ['embedding', 'trigger'], isAsked: false }
}

/** Lists what may stand there, best first. */
export function suggest(query: Query, offer: Offer): Suggestion[] {
  const all: Suggestion[] = []
  const add = (kind: SuggestionKind, names: readonly string[], labelOf: (name: string) => string): void => {
    if (query.kinds.includes(kind)) for (const name of names) all.push({ kind, name, label: labelOf(name) })
  }
  add('lora', offer.loras, nameInPrompt)
  add('wildcard', offer.wildcards, String)
  add('embedding', offer.embeddings, wordOfFile)
  add('style', offer.styles, String)
  add('trigger', offer.triggers, String)
  add('tag', Object.keys(TAGS), String)
  const found = searchNames(all, query.text, (one) => one.label, query.isAsked ? MOST : 4 * MOST)
  if (query.isAsked) return found
  // A guess has to be a good one: a word that begins so, and is not there already.
  const typed = query.text.toLowerCase()
  return found
    .filter((one) => {
      const label = one.label.toLowerCase()
      return label !== typed && (typed.length > 3 || label.split(/[\s_.-]+/).some((part) => part.startsWith(typed)))
    })
    .slice(0, MOST)
}

/** Writes a suggestion as a prompt has it, and where the cursor goes in it. */
export function writeSuggestion(one: Suggestion, loraWeight = 1): { text: string; caret: number } {
  const written = {
    lora: () => `<lora:${one.label}:${loraWeight}>`,
    wildcard: () => `__${one.label}__`,
    embedding: () => one.label,
    style: () => `<preset:${one.label}>`,
    trigger: () => one.label,
    tag: () => TAGS[one.name] ?? `<${one.name}:|>`,
  }[one.kind]()
  const at = one.kind === 'tag' ? written.indexOf('|') : -1
  return at < 0 ? { text: written, caret: written.length } : { text: written.replace('|', ''), caret: at }
}

/** Makes the change that takes a suggestion. What is left of a tag behind the cursor goes with it. */
export function takeSuggestion(text: string, caret: number, query: Query, one: Suggestion, loraWeight = 1): Edit {
  const written = writeSuggestion(one, loraWeight)
  const behind = text.slice(caret, caret + LOOKS_BACK)
  const rest = query.isAsked
    ? text[query.start] === '<'
      ? /^[^<>\s,]*>/.exec(behind)
      : /^[\p{L}\p{N}./-]*__(?![\p{L}\p{N}_])/u.exec(behind)
    : null
  const at = query.start + written.caret
  return {
    start: query.start,
    end: caret + (rest?.[0].length ?? 0),
    text: written.text,
    selectionStart: at,
    selectionEnd: at,
  }
}

/** Makes the change that puts something in at the cursor, apart from the words around it. */
export function putIn(text: string, from: number, to: number, words: string): Edit {
  const before = text.slice(0, from)
  const behind = text.slice(to)
  const lead = before === '' || /[\s(<{|[]$/.test(before) ? '' : /,$/.test(before) || words.startsWith('<') ? ' ' : ', '
  const tail = behind === '' || /^[\s,.)>}|\]]/.test(behind) ? '' : words.startsWith('<') ? ' ' : ', '
  const at = from + lead.length + words.length
  return { start: from, end: to, text: lead + words + tail, selectionStart: at, selectionEnd: at }
}

/** The LoRAs that a prompt names, as it names them, each once. */
export function lorasIn(marks: readonly Mark[]): string[] {
  return [...new Set(marks.filter((one) => one.kind === 'lora' && one.name).map((one) => one.name))]
}

/** Those of `words` that the prompt does not hold yet. */
export function missingWords(text: string, words: readonly string[]): string[] {
  const folded = text.toLowerCase()
  return words.filter((word) => !folded.includes(word.toLowerCase()))
}

/** Makes the change that writes another name in the place of the one that a mark has. */
export function renameMark(text: string, kind: Mark['kind'], wanted: string, name: string): Edit | null {
  const mark = findMarks(text).find((one) => one.kind === kind && one.name === wanted)
  if (!mark) return null
  const start = text.indexOf(wanted, mark.innerStart)
  if (start < 0 || start + wanted.length > mark.end) return null
  const at = start + name.length
  return { start, end: start + wanted.length, text: name, selectionStart: at, selectionEnd: at }
}
