/** Finds the names that a prompt means: loosely as the server does, by few letters as one types, and by likeness. */

/** Writes a model's name as prompts write it: without its ending. */
export function nameInPrompt(file: string): string {
  return file.replace(/\.(safetensors|sft|gguf|ckpt|pt|pth|bin)$/i, '')
}

/** The last part of a name, which stands for an embedding in a prompt. */
export function wordOfFile(file: string): string {
  return nameInPrompt(file).split('/').at(-1) ?? ''
}

function fold(name: string): string {
  return name
    .toLowerCase()
    .replaceAll('\\', '/')
    .replace(/[\s()[\]{}]/g, '')
    .replace(/\.safetensors$/, '')
}

/** Looks names up as the server does: the exact one wins, else the shortest that contains what was written. */
export class NameIndex {
  readonly names: readonly string[]
  private readonly folded: { folded: string; name: string }[]
  private readonly exact = new Map<string, string>()
  private readonly found = new Map<string, string | null>()

  constructor(names: readonly string[]) {
    this.names = names
    this.folded = [...names]
      .sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
      .map((name) => ({ folded: fold(name), name }))
    for (const one of this.folded) if (!this.exact.has(one.folded)) this.exact.set(one.folded, one.name)
  }

  find(wanted: string): string | null {
    const known = this.found.get(wanted)
    if (known !== undefined) return known
    const folded = fold(wanted.replace(/^\s*\|high_noise\|/, ''))
    const name = folded
      ? (this.exact.get(folded) ?? this.folded.find((one) => one.folded.includes(folded))?.name ?? null)
      : null
    this.found.set(wanted, name)
    return name
  }
}

/** Names that look like `wanted`, most alike first: for one that was misspelt. */
export function closeNames(wanted: string, names: readonly string[], most = 6): string[] {
  const pairs = pairsOf(fold(wanted))
  return names
    .map((name) => ({ name, likeness: likenessOf(pairs, pairsOf(fold(name))) }))
    .filter((one) => one.likeness > 0.2)
    .sort((a, b) => b.likeness - a.likeness)
    .slice(0, most)
    .map((one) => one.name)
}

function pairsOf(text: string): Map<string, number> {
  const found = new Map<string, number>()
  const padded = ` ${text} `
  for (let at = 0; at + 1 < padded.length; at++) {
    const pair = padded.slice(at, at + 2)
    found.set(pair, (found.get(pair) ?? 0) + 1)
  }
  return found
}

function likenessOf(a: Map<string, number>, b: Map<string, number>): number {
  let shared = 0
  let all = 0
  for (const [pair, count] of a) {
    shared += Math.min(count, b.get(pair) ?? 0)
    all += count
  }
  for (const count of b.values()) all += count
  return (2 * shared) / all
}
