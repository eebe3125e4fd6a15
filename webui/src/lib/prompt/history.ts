/** Walks through earlier prompts by keys, and finds them by words. */

interface JobWithPrompt {
  params?: unknown
}

/** Lists the prompts of jobs as they were written, each once, in the jobs' order. */
export function promptsOf(jobs: readonly JobWithPrompt[]): string[] {
  const found = new Set<string>()
  for (const { params } of jobs) {
    if (typeof params !== 'object' || params === null) continue
    const { prompt, original_prompt: written } = params as Record<string, unknown>
    const text = typeof written === 'string' && written ? written : prompt
    if (typeof text === 'string' && text.trim()) found.add(text)
  }
  return [...found]
}

/** Finds the prompts that hold every one of the words. */
export function searchPrompts(prompts: readonly string[], query: string): string[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  return prompts.filter((prompt) => {
    const text = prompt.toLowerCase()
    return words.every((word) => text.includes(word))
  })
}

/** Where in the earlier prompts one is; what had been typed before is kept and comes back at the end. */
export class HistoryWalk {
  private at = -1
  private kept = ''
  private shown: string | null = null

  /** The text one step earlier (1) or later (-1) than `current`; null where there is none. */
  step(prompts: readonly string[], current: string, direction: 1 | -1): string | null {
    // Something was typed since: it is what is kept now.
    if (this.shown === null || current !== this.shown) {
      this.at = -1
      this.kept = current
    }
    let next = this.at + direction
    // A prompt that stands there already is no step.
    while (next >= 0 && prompts[next] === current) next += direction
    if (next >= prompts.length || (next < 0 && this.at < 0)) return null
    this.at = Math.max(-1, next)
    this.shown = this.at < 0 ? this.kept : prompts[this.at]!
    return this.shown
  }
}
