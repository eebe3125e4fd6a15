/** Makes of the counts of all text encoders what is told beside the prompt. */

export interface EncoderCount {
  count: number
  chunk: number | null
  chunks: number | null
  limit: number | null
  truncated_at_character: number | null
  exact: boolean
}

export interface TokensTold {
  count: number
  isExact: boolean
  /** In how many parts it is read, where that is more than one. */
  parts: number | null
  /** The first word that does not count. */
  cutFrom: string | null
}

/** Chooses the encoder with the least room: the one that cuts, else the one with the shortest chunk. */
export function tellTokens(prompt: string, counts: readonly EncoderCount[]): TokensTold | null {
  const [tightest] = [...counts].sort(
    (a, b) =>
      Number(b.truncated_at_character !== null) - Number(a.truncated_at_character !== null) ||
      (a.chunk ?? Infinity) - (b.chunk ?? Infinity) ||
      b.count - a.count,
  )
  if (!tightest) return null
  const { count, chunk, chunks, exact, truncated_at_character: cut } = tightest
  return {
    count,
    isExact: exact,
    parts: chunk !== null && count > chunk ? (chunks ?? Math.ceil(count / chunk)) : null,
    cutFrom: cut === null ? null : wordAt(prompt, cut),
  }
}

/** The word at a place that is counted in characters, as the server counts, not in halves of them. */
function wordAt(text: string, characters: number): string {
  let at = 0
  for (let left = characters; left > 0 && at < text.length; left--) at += text.codePointAt(at)! > 0xffff ? 2 : 1
  while (at > 0 && at < text.length && /[\p{L}\p{N}]/u.test(text[at]!) && /[\p{L}\p{N}]/u.test(text[at - 1]!)) at -= 1
  return /[\p{L}\p{N}][\p{L}\p{N}\p{M}'’-]*/u.exec(text.slice(at, at + 200))?.[0] ?? text.slice(at).trim().slice(0, 20)
}
