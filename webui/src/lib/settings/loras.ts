/** Reads and writes LoRAs in a prompt. The prompt is the one place where they stand: `<lora:name:weight>`. */

export interface PromptLora {
  name: string
  weight: number
}

const TAG = /<lora:([^:<>]+)(?::(-?[\d.]+))?[^<>]*>/g

/** The name by which a prompt calls a file: without its ending. */
export function stemOf(file: string): string {
  return file.replace(/\.(safetensors|gguf|ckpt|pt|pth|bin)$/i, '')
}

export function readLoras(prompt: string): PromptLora[] {
  return [...prompt.matchAll(TAG)].map((found) => {
    const weight = found[2] === undefined ? 1 : Number(found[2])
    return { name: found[1]!.trim(), weight: Number.isFinite(weight) ? weight : 1 }
  })
}

/** The weight of a file in a prompt; null: it is not in it. */
export function weightOf(prompt: string, file: string): number | null {
  return readLoras(prompt).find((one) => stemOf(one.name) === stemOf(file))?.weight ?? null
}

/** Writes a file with a weight into a prompt, in its place or at the end; null takes it out. */
export function writeLora(prompt: string, file: string, weight: number | null): string {
  const name = stemOf(file)
  const tag = weight === null ? '' : `<lora:${name}:${Number(weight.toFixed(2))}>`
  let isDone = false
  const next = prompt.replace(TAG, (whole, found: string) => {
    if (stemOf(found.trim()) !== name) return whole
    const isFirst = !isDone
    isDone = true
    return isFirst ? tag : ''
  })
  if (isDone) return weight === null ? next.replace(/ {2,}/g, ' ').replace(/\s+$/, '') : next
  if (weight === null) return prompt
  return prompt.trim() === '' ? tag : `${prompt.replace(/\s+$/, '')} ${tag}`
}

/** Adds words to a prompt, unless it has them. */
export function addWords(prompt: string, words: string): string {
  if (prompt.toLowerCase().includes(words.toLowerCase())) return prompt
  const plain = prompt.replace(/[\s,]+$/, '')
  return plain === '' ? words : `${plain}, ${words}`
}
