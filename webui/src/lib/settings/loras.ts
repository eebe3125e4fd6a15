/** Reads and writes LoRAs in a prompt. The prompt is the one place where they stand: `<lora:name:weight>`. */
import { findMarks, type Mark } from '../prompt/marks'
import { nameInPrompt } from '../prompt/names'

function listMarks(prompt: string): Mark[] {
  return findMarks(prompt).filter((one) => one.kind === 'lora')
}

/** The weights of the LoRAs in a prompt, by the names without ending. Of one that stands there twice, the first. */
export function weightsIn(prompt: string): Map<string, number> {
  return new Map(
    listMarks(prompt)
      .reverse()
      .map((one) => [nameInPrompt(one.name), one.weight ?? 1]),
  )
}

/** Writes a file with a weight into a prompt, in its place or at the end; null takes it out. */
export function writeLora(prompt: string, file: string, weight: number | null): string {
  const name = nameInPrompt(file)
  const tag = weight === null ? '' : `<lora:${name}:${Number(weight.toFixed(2))}>`
  const places = listMarks(prompt).filter((one) => nameInPrompt(one.name) === name)
  const first = places[0]
  let next = prompt
  for (const one of places.reverse()) next = next.slice(0, one.start) + (one === first ? tag : '') + next.slice(one.end)
  if (first) return weight === null ? next.replace(/ {2,}/g, ' ').replace(/\s+$/, '') : next
  if (weight === null) return prompt
  return prompt.trim() === '' ? tag : `${prompt.replace(/\s+$/, '')} ${tag}`
}

/** Adds words to a prompt, unless it has them. */
export function addWords(prompt: string, words: string): string {
  if (prompt.toLowerCase().includes(words.toLowerCase())) return prompt
  const plain = prompt.replace(/[\s,]+$/, '')
  return plain === '' ? words : `${plain}, ${words}`
}
