/** Finds what tells pictures apart: of prompt, model and seed only what differs. */

export interface Told {
  prompt: string
  model?: string
  seed?: number
}

export interface Difference {
  /** The words of the prompt that differ; missing where all prompts are the same. */
  words?: string
  model?: string
  seed?: number
}

export function findDifferences(pictures: readonly Told[]): Difference[] {
  const differs = <T>(read: (one: Told) => T): boolean => pictures.some((one) => read(one) !== read(pictures[0]!))
  const words = cutCommon(pictures.map((one) => one.prompt.split(/\s+/).filter(Boolean)))
  const ofPrompt = differs((one) => one.prompt)
  const ofModel = differs((one) => one.model)
  const ofSeed = differs((one) => one.seed)
  return pictures.map((one, at) => ({
    ...(ofPrompt ? { words: words[at]!.join(' ') } : {}),
    ...(ofModel && one.model !== undefined ? { model: one.model } : {}),
    ...(ofSeed && one.seed !== undefined ? { seed: one.seed } : {}),
  }))
}

/** Takes the words away that all begin with, and those that all end with. */
function cutCommon(lists: string[][]): string[][] {
  const shortest = Math.min(...lists.map((list) => list.length))
  let start = 0
  while (start < shortest && lists.every((list) => list[start] === lists[0]![start])) start++
  let end = 0
  while (end < shortest - start && lists.every((list) => list.at(-1 - end) === lists[0]!.at(-1 - end))) end++
  return lists.map((list) => list.slice(start, list.length - end))
}

/** Writes how much two pictures differ, four times as strong, into `into`. All three have the same size. */
export function paintDifference(
  a: Uint8ClampedArray,
  b: Uint8ClampedArray,
  into: Uint8ClampedArray,
  strength = 4,
): void {
  for (let at = 0; at < into.length; at += 4) {
    into[at] = Math.abs(a[at]! - b[at]!) * strength
    into[at + 1] = Math.abs(a[at + 1]! - b[at + 1]!) * strength
    into[at + 2] = Math.abs(a[at + 2]! - b[at + 2]!) * strength
    into[at + 3] = 255
  }
}
