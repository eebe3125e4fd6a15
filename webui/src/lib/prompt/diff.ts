/** Compares two texts word by word. */

export interface DiffPart {
  kind: 'same' | 'gone' | 'new'
  text: string
}

/** Beyond so many comparisons the middle is told as a whole: gone and new. */
const MOST_CELLS = 4_000_000

/** Tells what is the same, gone and new, in the order of reading. */
export function diffWords(before: string, after: string): DiffPart[] {
  const a = cut(before)
  const b = cut(after)
  let head = 0
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1
  let tail = 0
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail])
    tail += 1
  const parts: DiffPart[] = []
  put(parts, 'same', a.slice(0, head))
  compare(parts, a.slice(head, a.length - tail), b.slice(head, b.length - tail))
  put(parts, 'same', a.slice(a.length - tail))
  return parts
}

/** Words, each with the blanks behind it, and signs. */
function cut(text: string): string[] {
  return text.match(/[\p{L}\p{N}_'’-]+\s*|[^\p{L}\p{N}_'’-]\s*/gu) ?? []
}

function put(parts: DiffPart[], kind: DiffPart['kind'], words: readonly string[]): void {
  if (words.length === 0) return
  const text = words.join('')
  const last = parts.at(-1)
  if (last?.kind === kind) last.text += text
  else parts.push({ kind, text })
}

/** The longest words that both have in one order stay; what lies between is gone or new. */
function compare(parts: DiffPart[], a: readonly string[], b: readonly string[]): void {
  if (a.length * b.length > MOST_CELLS) {
    put(parts, 'gone', a)
    put(parts, 'new', b)
    return
  }
  const wide = b.length + 1
  const lengths = new Uint16Array((a.length + 1) * wide)
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i * wide + j] =
        a[i] === b[j]
          ? lengths[(i + 1) * wide + j + 1]! + 1
          : Math.max(lengths[(i + 1) * wide + j]!, lengths[i * wide + j + 1]!)
  let i = 0
  let j = 0
  let gone: string[] = []
  let fresh: string[] = []
  const flush = (): void => {
    put(parts, 'gone', gone)
    put(parts, 'new', fresh)
    gone = []
    fresh = []
  }
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      flush()
      put(parts, 'same', [a[i]!])
      i += 1
      j += 1
    } else if (j >= b.length || (i < a.length && lengths[(i + 1) * wide + j]! >= lengths[i * wide + j + 1]!))
      gone.push(a[i++]!)
    else fresh.push(b[j++]!)
  }
  flush()
}
