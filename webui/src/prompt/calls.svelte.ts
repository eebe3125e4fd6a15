/** What the prompt box asks the server: counts of tokens, words drawn by chance, earlier prompts, better prompts. */
import { api, ask, type Schemas } from '../lib/api/client'
import { errorOfThrown } from '../lib/api/errors'
import { promptsOf, searchPrompts } from '../lib/prompt/history'
import { tellTokens, type TokensTold } from '../lib/prompt/tokens'
import { attempt } from '../state/notices.svelte'
import { drafts } from '../state/drafts.svelte'
import { server } from '../state/server.svelte'
import { chosenStyles } from './styles'

const DEBOUNCE_MS = 300
const LISTED = 60
const STATUS_MS = 30_000

/** Counts tokens while one types; an older question is given up for a newer one. */
export class TokenCounter {
  told = $state.raw<TokensTold | null>(null)
  /** The model whose tokens nobody can count. */
  private unknownFor = ''

  /** Asks a moment later. Returns what gives the question up. */
  count(prompt: string, model: string): () => void {
    const call = new AbortController()
    const timer = setTimeout(() => void this.ask(prompt, model, call.signal), DEBOUNCE_MS)
    if (!prompt.trim() || model === this.unknownFor) {
      clearTimeout(timer)
      this.told = null
    }
    return () => {
      clearTimeout(timer)
      call.abort()
    }
  }

  private async ask(prompt: string, model: string, signal: AbortSignal): Promise<void> {
    try {
      const counted = await ask((limited) => api.POST('/prompt/tokens', { body: { prompt }, signal: limited }), {
        signal,
      })
      if (!signal.aborted) this.told = tellTokens(prompt, counted.prompt)
    } catch (thrown) {
      if (signal.aborted) return
      if (errorOfThrown(thrown).status === 501) this.unknownFor = model
      this.told = null
    }
  }
}

/** Earlier prompts, newest first; asked for when first wanted, and again after a job has ended. */
class PromptHistory {
  prompts = $state.raw<string[] | null>(null)
  private isStale = true
  private call: AbortController | null = null

  constructor() {
    server.listen((want) => {
      if (want.what === 'ended') this.isStale = true
    })
  }

  async fetch(): Promise<string[]> {
    if (this.isStale || !this.prompts) {
      const prompts = await attempt(() => this.list())
      if (prompts) {
        this.prompts = prompts
        this.isStale = false
      }
    }
    return this.prompts ?? []
  }

  /** Finds prompts on the server by words, also those that are not on the first list. */
  async search(query: string): Promise<string[] | undefined> {
    this.call?.abort()
    if (!query.trim()) return this.fetch()
    const call = (this.call = new AbortController())
    const found = await attempt(() => this.list(query, call.signal))
    return found && searchPrompts(found, query)
  }

  private async list(search?: string, signal?: AbortSignal): Promise<string[]> {
    const listing = await ask(
      (limited) =>
        api.GET('/queue', {
          params: { query: { status: ['completed'], limit: LISTED, ...(search ? { search } : {}) } },
          signal: limited,
        }),
      { signal },
    )
    return promptsOf((listing as { items?: { params?: unknown }[] }).items ?? [])
  }
}

export const promptHistory = new PromptHistory()

/** Lets a language model write the prompt in more detail. */
class Enhancer {
  isRunning = $state(false)
  /** What was sent and what came back. */
  result = $state.raw<{ before: string; after: string } | null>(null)
  problem = $state('')
  private call: AbortController | null = null
  private status: { at: number; isThere: boolean } | null = null

  /** Whether a language model is there; asked for at most every half minute, unless it was not. */
  async isThere(): Promise<boolean> {
    if (this.status?.isThere && Date.now() - this.status.at < STATUS_MS) return true
    try {
      const { enabled, connected } = await ask((signal) => api.GET('/ollama/status', { signal }))
      this.status = { at: Date.now(), isThere: enabled && connected }
      return this.status.isThere
    } catch {
      return false
    }
  }

  async run(prompt: string): Promise<void> {
    this.stop()
    const call = (this.call = new AbortController())
    this.isRunning = true
    this.problem = ''
    this.result = null
    try {
      const told = await ask((signal) => api.POST('/ollama/enhance', { body: { prompt }, signal }), {
        signal: call.signal,
        timeoutMs: 0,
      })
      if (!call.signal.aborted) this.result = { before: prompt, after: told.enhanced_prompt }
    } catch (thrown) {
      if (!call.signal.aborted) this.problem = errorOfThrown(thrown).message
      this.status = null
    } finally {
      if (this.call === call) this.isRunning = false
    }
  }

  stop(): void {
    this.call?.abort()
    this.isRunning = false
  }
}

export const enhancer = new Enhancer()

/** Draws the words of the active draft's prompt once, as a start would. */
export function expandPrompt(prompt: string): Promise<Schemas['ExpandedPrompt'] | undefined> {
  return attempt(async () => {
    const told = await ask((signal) =>
      api.POST('/prompt/expand', {
        body: {
          prompt,
          seed: -1,
          count: 1,
          mode: drafts.kind,
          model: drafts.active.values.model_name as string | undefined,
          negative_prompt: '',
          styles: chosenStyles(drafts.value('styles')),
        },
        signal,
      }),
    )
    return told.prompts[0]
  })
}
