/** What is offered while one types in a prompt: opened by what was typed, walked by arrows, taken by Tab or Enter. */
import { findQuery, lorasIn, suggest, takeSuggestion, type Query, type Suggestion } from '../lib/prompt/completion'
import { findMarks } from '../lib/prompt/marks'
import type { Edit } from '../lib/prompt/weights'
import { t } from '../lib/i18n'
import { notices } from '../state/notices.svelte'
import { library } from './library.svelte'

export class Completion {
  items = $state.raw<Suggestion[]>([])
  /** The one that is meant; -1: none yet. */
  at = $state(-1)
  readonly isOpen = $derived(this.items.length > 0)
  /** Where the typed word begins, for placing the list. */
  start = $state(0)
  private query: Query | null = null
  private hasMoved = false
  private told = ''

  /** Looks what is being typed before the cursor, and offers what may stand there. */
  look(text: string, caret: number): void {
    const query = findQuery(text, caret)
    if (!query) return this.close()
    if (query.kinds.includes('wildcard')) void library.fetchWildcards().then(() => this.refresh(text, query))
    this.query = query
    this.hasMoved = false
    this.refresh(text, query)
  }

  private refresh(text: string, query: Query): void {
    if (this.query !== query) return
    this.start = query.start
    this.items = suggest(query, {
      loras: library.loras,
      wildcards: library.wildcards?.map((one) => one.name) ?? [],
      embeddings: library.embeddings,
      styles: library.styles?.map((one) => one.name) ?? [],
      triggers: query.isAsked ? [] : triggersOf(text),
    })
    if (!this.hasMoved) this.at = query.isAsked && this.items.length > 0 ? 0 : -1
    this.at = Math.min(this.at, this.items.length - 1)
    for (const one of this.items)
      if (one.kind === 'lora' || one.kind === 'embedding') library.fetchCard(one.kind, one.name)
    const told = this.isOpen ? t.prompt.suggestions(this.items.length) : ''
    if (told && told !== this.told) notices.announce(told)
    this.told = told
  }

  move(by: 1 | -1): void {
    const count = this.items.length
    this.at = this.at < 0 ? (by > 0 ? 0 : count - 1) : (this.at + by + count) % count
    this.hasMoved = true
  }

  close(): void {
    this.query = null
    this.items = []
    this.at = -1
    this.told = ''
  }

  /** Whether Enter is meant for the list: it was asked for, or somebody has walked in it. */
  get takesEnter(): boolean {
    return this.isOpen && this.at >= 0 && (this.hasMoved || this.query?.isAsked === true)
  }

  /** Makes the change that takes a suggestion, and ends the offer. */
  take(text: string, caret: number, index: number = Math.max(0, this.at)): Edit | null {
    const one = this.items[index]
    const { query } = this
    this.close()
    if (!one || !query) return null
    const weight = one.kind === 'lora' ? library.card('lora', one.name)?.recommended.lora_weight : undefined
    return takeSuggestion(text, caret, query, one, weight)
  }
}

/** Trigger words of the LoRAs that a prompt names. */
function triggersOf(text: string): string[] {
  const words = new Set<string>()
  for (const name of lorasIn(findMarks(text))) {
    const file = library.fileOfLora(name)
    if (file) for (const word of library.card('lora', file)?.trigger_words ?? []) words.add(word)
  }
  return [...words]
}
