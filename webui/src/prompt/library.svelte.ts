/** Knows what prompts may name: LoRAs, wildcards, embeddings, styles, and what their cards say. Asked for when needed. */
import { api, ask, type Schemas } from '../lib/api/client'
import { apiUrl } from '../lib/address'
import { embeddingWords, type Known } from '../lib/prompt/marks'
import { NameIndex, nameInPrompt } from '../lib/prompt/names'
import { server } from '../state/server.svelte'

export type Card = Schemas['CardShown']
export type Style = Schemas['StyleShown']
export type Wildcard = Schemas['WildcardListed']
type CardType = 'lora' | 'embedding'

/** Lists that people change beside the page are asked for again after so long. */
const FRESH_MS = 30_000
const AT_ONCE = 4

class Library {
  /** Whether all styles are shown, to be chosen and written. */
  showsStyles = $state(false)
  wildcards = $state.raw<Wildcard[] | null>(null)
  styles = $state.raw<Style[] | null>(null)
  /** By type and file; null: there is none. */
  cards = $state<Record<string, Card | null>>({})

  readonly loras = $derived(server.models?.loras ?? [])
  readonly embeddings = $derived(server.models?.embeddings ?? [])
  private readonly loraFiles = $derived(new Map(this.loras.map((file) => [nameInPrompt(file), file])))
  private readonly loraIndex = $derived(server.models ? new NameIndex([...this.loraFiles.keys()]) : null)
  private readonly wildcardIndex = $derived(this.wildcards && new NameIndex(this.wildcards.map((one) => one.name)))
  private readonly words = $derived(embeddingWords(this.embeddings))
  readonly known: Known = $derived({
    loras: this.loraIndex,
    wildcards: this.wildcardIndex,
    embeddings: this.words,
  })

  private wildcardsAt = 0
  private asked = new Set<string>()
  private waiting: (() => Promise<void>)[] = []
  private running = 0

  constructor() {
    server.listen((want) => {
      if (want.what !== 'models') return
      this.wildcardsAt = 0
      this.cards = {}
      this.asked.clear()
      if (this.wildcards) void this.fetchWildcards()
      if (this.styles) void this.fetchStyles()
    })
  }

  /** The file of the LoRA that a prompt names; undefined for an unknown one. */
  fileOfLora(name: string): string | undefined {
    const found = this.loraIndex?.find(name)
    return found ? this.loraFiles.get(found) : undefined
  }

  /** Asks for the wildcards, unless that was done a moment ago. What cannot be had is simply not offered. */
  async fetchWildcards(): Promise<void> {
    if (Date.now() - this.wildcardsAt < FRESH_MS) return
    this.wildcardsAt = Date.now()
    try {
      this.wildcards = (await ask((signal) => api.GET('/wildcards', { signal }))).wildcards
    } catch {
      this.wildcardsAt = 0
    }
  }

  async fetchStyles(): Promise<void> {
    try {
      this.styles = (await ask((signal) => api.GET('/styles', { signal }))).styles
    } catch {
      this.styles ??= []
    }
  }

  card(type: CardType, file: string): Card | null | undefined {
    return this.cards[`${type}/${file}`]
  }

  /** Asks for a card once, a few at a time. */
  fetchCard(type: CardType, file: string): void {
    const key = `${type}/${file}`
    if (this.asked.has(key)) return
    this.asked.add(key)
    this.waiting.push(async () => {
      try {
        this.cards[key] = await ask((signal) =>
          api.GET('/models/{model_type}/{model_name}/card', {
            params: { path: { model_type: type, model_name: file } },
            signal,
          }),
        )
      } catch {
        this.cards[key] = null
      }
    })
    this.work()
  }

  private work(): void {
    while (this.running < AT_ONCE && this.waiting.length > 0) {
      this.running += 1
      void this.waiting.shift()!().finally(() => {
        this.running -= 1
        this.work()
      })
    }
  }

  async keepStyle(style: Style): Promise<void> {
    const { name, ...body } = style
    await ask((signal) => api.PUT('/styles/{style_name}', { params: { path: { style_name: name } }, body, signal }))
    await this.fetchStyles()
  }

  async removeStyle(name: string): Promise<void> {
    await ask((signal) => api.DELETE('/styles/{style_name}', { params: { path: { style_name: name } }, signal }))
    await this.fetchStyles()
  }

  /** Takes over the styles of another program's file. */
  async importStyles(text: string, overwrite = false): Promise<Schemas['StylesImported']> {
    const told = await ask((signal) => api.POST('/styles/import', { body: { text, overwrite }, signal }))
    await this.fetchStyles()
    return told
  }
}

/** The address of a card's picture. */
export function previewOf(card: Card | null | undefined): string | null {
  return card?.preview ? apiUrl(card.preview) : null
}

export const library = new Library()
