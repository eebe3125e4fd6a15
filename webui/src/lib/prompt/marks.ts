/**
 * Reads what in a prompt means something: weights, tags, wildcards, choices, embeddings. In one pass, so that the time
 * grows with the length alone, whatever was written. What never closes is text.
 */
import { NameIndex, wordOfFile } from './names'

export type MarkKind = 'weight' | 'lora' | 'wildcard' | 'choice' | 'tag' | 'embedding'

/** A stretch of the prompt that means something. Stretches lie in each other or apart, never across. */
export interface Mark {
  kind: MarkKind
  start: number
  end: number
  /** The tag's word (`lora`, `random`); empty for what is no tag. */
  tag: string
  /** What is named: the LoRA, the wildcard, the embedding. */
  name: string
  /** Where the text inside begins and ends, without brackets and weight. */
  innerStart: number
  innerEnd: number
  /** The weight, or what brackets alone make of it; null where there is none. */
  weight: number | null
}

/** What the server has, for telling known names from unknown ones. null: not known yet, so nothing is unknown. */
export interface Known {
  loras: NameIndex | null
  wildcards: NameIndex | null
  embeddings: ReadonlySet<string>
}

export const KNOWS_NOTHING: Known = { loras: null, wildcards: null, embeddings: new Set() }

const TOKEN =
  /\\[()[\]{}\\]|[()[\]{}>|]|\$\$|<(?=[ \t]*[A-Za-z])|__([\p{L}\p{N}](?:(?!__)[\p{L}\p{N}_ ./-]){0,200})__(?!_)/gu
const TAG_HEAD = /^<[ \t]*([A-Za-z]+)[ \t]*(?:\[[^[\]]*\])?[ \t]*(:?)/
const WEIGHT_END = /:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*$/
const CLOSES: Record<string, string> = { ')': '(', ']': '[', '}': '{', '>': '<' }
/** What brackets alone do to a weight. */
const BRACKET = 1.1
const LONGEST_WEIGHT = 24

/** Lists the stretches of a prompt, those that begin earlier first, an outer one before what lies in it. */
export function findMarks(text: string): Mark[] {
  const found: Mark[] = []
  const open: Frame[] = []
  // Those of them that a `|` may belong to.
  const lists: Frame[] = []
  const count: Record<string, number> = { '(': 0, '[': 0, '{': 0, '<': 0 }
  const pop = (): Frame => {
    const frame = open.pop()!
    count[frame.sign]! -= 1
    if (frame === lists.at(-1)) lists.pop()
    return frame
  }
  for (const match of text.matchAll(TOKEN)) {
    const sign = match[0]
    const at = match.index
    if (sign[0] === '\\') continue
    if (sign[0] === '_') {
      found.push(makeMark('wildcard', at, at + sign.length, at + 2, at + sign.length - 2, match[1]!))
    } else if (sign === '|' || sign === '$$') {
      const list = lists.at(-1)
      if (list) list.hasParts = true
    } else if (sign in count) {
      const frame = { sign, at, hasParts: false }
      open.push(frame)
      if (sign === '{' || sign === '<') lists.push(frame)
      count[sign]! += 1
    } else {
      const opener = CLOSES[sign]!
      if (!count[opener]) continue
      // What was opened inside of it and never closed is text.
      let frame = pop()
      while (frame.sign !== opener) frame = pop()
      const mark = readPair(text, frame, at + 1)
      if (mark) found.push(mark)
    }
  }
  return found.sort((a, b) => a.start - b.start || b.end - a.end)
}

function makeMark(kind: MarkKind, start: number, end: number, innerStart: number, innerEnd: number, name = ''): Mark {
  return { kind, start, end, tag: '', name, innerStart, innerEnd, weight: null }
}

interface Frame {
  sign: string
  at: number
  /** Whether `|` or `$$` stands in it, so that braces are a choice. */
  hasParts: boolean
}

function readPair(text: string, frame: Frame, end: number): Mark | null {
  const { sign: opener, at: start } = frame
  if (opener === '{') return frame.hasParts ? makeMark('choice', start, end, start + 1, end - 1) : null
  if (opener === '<') return readTag(text, start, end)
  const mark = makeMark('weight', start, end, start + 1, end - 1)
  mark.weight = opener === '(' ? BRACKET : 1 / BRACKET
  const written = opener === '(' && WEIGHT_END.exec(text.slice(Math.max(start + 1, end - 1 - LONGEST_WEIGHT), end - 1))
  if (written) {
    mark.weight = Number(written[1])
    mark.innerEnd = end - 1 - written[0].length
  }
  return mark
}

const LORAS = new Set(['lora', 'lyco', 'hypernet'])
const WILDCARDS = new Set(['wildcard', 'wc'])
const EMBEDDINGS = new Set(['embed', 'embedding'])
/** Tags whose words come by chance, so that two drawings of one prompt differ. */
const CHANCE = new Set(['random', 'wildcard', 'wc', 'repeat'])
/** All others that the server resolves before it draws. */
const RESOLVED = new Set(
  (
    'embed embedding trigger preset p param setvar var setmacro macro comment alternate alt fromto break segment ' +
    'object region clear extend base refiner video videoswap pixeldecoder'
  ).split(' '),
)

const LONGEST_TAG = 400

function readTag(text: string, start: number, end: number): Mark | null {
  const head = TAG_HEAD.exec(text.slice(start, Math.min(end, start + LONGEST_TAG)))
  if (!head) return null
  const tag = head[1]!.toLowerCase()
  const hasText = head[2] === ':'
  const innerStart = start + head[0].length
  // Without a colon the name is all there is.
  if (!hasText && innerStart !== end - 1) return null
  if (![LORAS, WILDCARDS, EMBEDDINGS, CHANCE, RESOLVED].some((names) => names.has(tag))) return null
  const mark = makeMark('tag', start, end, Math.min(innerStart, end - 1), end - 1)
  mark.tag = tag
  if (!hasText) return mark
  const body = text.slice(innerStart, Math.min(end - 1, innerStart + LONGEST_TAG))
  if (LORAS.has(tag)) {
    const [name = '', weight] = body.split(':')
    mark.kind = 'lora'
    mark.name = name.trim()
    mark.innerEnd = Math.min(innerStart + name.length, end - 1)
    mark.weight = weight !== undefined && weight.trim() && Number.isFinite(Number(weight)) ? Number(weight) : null
  } else if (WILDCARDS.has(tag)) {
    mark.kind = 'wildcard'
    mark.name = body.split(',')[0]!.trim()
  } else if (EMBEDDINGS.has(tag)) {
    mark.kind = 'embedding'
    mark.name = body.trim()
  }
  return mark
}

/** Whether a mark names what the server has not. A name that holds tags itself is not known before they are resolved. */
export function isUnknown(mark: Mark, known: Known): boolean {
  if (/[<{|]|__/.test(mark.name.replace(/^\|high_noise\|/, ''))) return false
  if (mark.kind === 'lora') return known.loras !== null && known.loras.find(mark.name) === null
  if (mark.kind === 'wildcard') return known.wildcards !== null && known.wildcards.find(mark.name) === null
  return false
}

/** A piece of the prompt that is drawn in one way. */
export interface Piece {
  text: string
  kind: MarkKind | ''
  unknown: boolean
}

/** Longer prompts are shown in one colour: each key has to be quick. */
export const MOST_CHARACTERS = 24_000
const MOST_PIECES = 800

/** Cuts a prompt into pieces for showing: the innermost stretch says how. Together they are the whole text. */
export function cutPieces(text: string, known: Known, marks: readonly Mark[] = findMarks(text)): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  const put = (end: number, kind: Piece['kind'], unknown: boolean): void => {
    if (end <= at) return
    const last = pieces.at(-1)
    if (last && ((last.kind === kind && last.unknown === unknown) || pieces.length > MOST_PIECES)) {
      last.text += text.slice(at, end)
    } else if (pieces.length === MOST_PIECES) pieces.push({ text: text.slice(at, end), kind: '', unknown: false })
    else if (kind === '') putWords(pieces, text.slice(at, end), known.embeddings)
    else pieces.push({ text: text.slice(at, end), kind, unknown })
    at = end
  }
  if (text.length > MOST_CHARACTERS) return [{ text, kind: '', unknown: false }]
  const around: { mark: Mark; unknown: boolean }[] = []
  const close = (until: number): void => {
    for (let top = around.at(-1); top && top.mark.end <= until; top = around.at(-1)) {
      put(top.mark.end, top.mark.kind, top.unknown)
      around.pop()
    }
  }
  for (const mark of marks) {
    close(mark.start)
    const top = around.at(-1)
    put(mark.start, top?.mark.kind ?? '', top?.unknown ?? false)
    around.push({ mark, unknown: isUnknown(mark, known) })
  }
  close(text.length)
  put(text.length, '', false)
  return pieces
}

/** Puts plain text, in which the names of embeddings stand as words. */
function putWords(pieces: Piece[], text: string, embeddings: ReadonlySet<string>): void {
  let from = 0
  if (embeddings.size > 0)
    for (const match of text.matchAll(/[^\s,()[\]{}<>|:;]+/g)) {
      const word = match[0].replace(/\.+$/, '')
      if (pieces.length >= MOST_PIECES || !embeddings.has(word.toLowerCase())) continue
      if (match.index > from) pieces.push({ text: text.slice(from, match.index), kind: '', unknown: false })
      from = match.index + word.length
      pieces.push({ text: word, kind: 'embedding', unknown: false })
    }
  if (from < text.length) pieces.push({ text: text.slice(from), kind: '', unknown: false })
}

/** Makes the words that stand for embeddings in a prompt. */
export function embeddingWords(files: readonly string[]): Set<string> {
  return new Set(files.map((file) => wordOfFile(file).toLowerCase()))
}

/** What of a prompt the server has to resolve: nothing, tags, or words that come by chance. */
export function dynamicsOf(marks: readonly Mark[]): 'none' | 'tags' | 'chance' {
  let found: 'none' | 'tags' = 'none'
  for (const { kind, tag } of marks) {
    if (kind === 'choice' || CHANCE.has(tag) || (kind === 'wildcard' && tag === '')) return 'chance'
    if (RESOLVED.has(tag)) found = 'tags'
  }
  return found
}
