/** Keeps the conversation with the assistant, and does what it proposed once the user has said so. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { errorOfAnswer, errorOfThrown } from '../../lib/api/errors'
import { isReading, pageOfView, type Action } from '../../lib/assistant/actions'
import { EventReader } from '../../lib/assistant/events'
import type { Values } from '../../lib/drafts/draft'
import { t } from '../../lib/i18n'
import { desk } from '../../state/desk.svelte'
import { drafts } from '../../state/drafts.svelte'
import { notices } from '../../state/notices.svelte'
import { router } from '../../state/router.svelte'
import { server } from '../../state/server.svelte'

export interface Proposal {
  action: Action
  state: 'open' | 'running' | 'done' | 'declined' | 'failed'
  /** What came of it, where that is worth a line. */
  outcome: string
}

export interface Said {
  role: 'user' | 'assistant'
  text: string
  proposals: Proposal[]
  isComing: boolean
  problem: string
}

class Assistant {
  said = $state<Said[]>([])
  status = $state.raw<Schemas['AssistantStatus'] | null>(null)
  isAnswering = $state(false)
  private given: AbortController | null = null
  private isLoaded = false

  /** Asks whether there is a language model, and for what was said before. */
  async load(): Promise<void> {
    this.status = await ask((signal) => api.GET('/assistant/status', { signal })).catch(() => null)
    if (this.isLoaded) return
    const told = await ask((signal) => api.GET('/assistant/history', { signal })).catch(() => null)
    if (!told) return
    this.isLoaded = true
    // What was proposed in an earlier visit is history: it is not offered again.
    this.said = told.messages.map((one) => ({
      role: one.role === 'user' ? 'user' : 'assistant',
      text: one.content,
      proposals: [],
      isComing: false,
      problem: '',
    }))
  }

  /** Says something and takes the answer as it comes. */
  async send(text: string): Promise<void> {
    this.said.push(
      { role: 'user', text, proposals: [], isComing: false, problem: '' },
      { role: 'assistant', text: '', proposals: [], isComing: true, problem: '' },
    )
    const answer = this.said.at(-1)!
    this.isAnswering = true
    const given = new AbortController()
    this.given = given
    try {
      const stream = (await ask(
        (signal) => api.POST('/assistant/chat/stream', { body: { message: text }, parseAs: 'stream', signal }) as never,
        { signal: given.signal, timeoutMs: 0 },
      )) as ReadableStream<Uint8Array>
      const reader = new EventReader()
      const pieces = stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
      for (;;) {
        const { value, done } = await pieces.read()
        if (done) break
        for (const event of reader.read(value)) this.take(answer, event.name, event.data as Record<string, unknown>)
      }
    } catch (thrown) {
      const error = errorOfThrown(thrown)
      if (error.code !== 'aborted') answer.problem = error.message
    } finally {
      answer.isComing = false
      this.isAnswering = false
      notices.announce(answer.problem || answer.text)
    }
    if (server.preferences.assistant_reads === true)
      for (const proposal of answer.proposals) if (isReading(proposal.action)) await this.run(proposal)
  }

  private take(answer: Said, name: string, data: Record<string, unknown>): void {
    if (name === 'delta') answer.text += String(data.text)
    else if (name === 'done') {
      const whole = data as unknown as Schemas['ChatAnswer']
      answer.text = whole.message
      answer.proposals = whole.actions.map((action) => ({ action, state: 'open', outcome: '' }))
    } else if (name === 'error') answer.problem = errorOfAnswer(500, data).message
  }

  stop(): void {
    this.given?.abort()
  }

  async clear(): Promise<void> {
    await ask((signal) => api.DELETE('/assistant/history', { signal }))
    this.said = []
  }

  /** Does what was proposed. */
  async run(proposal: Proposal): Promise<void> {
    proposal.state = 'running'
    try {
      proposal.outcome = await this.perform(proposal.action)
      proposal.state = 'done'
    } catch (thrown) {
      proposal.outcome = errorOfThrown(thrown).message
      proposal.state = 'failed'
    }
  }

  private async perform(action: Action): Promise<string> {
    const request = action.request
    if (!request) {
      if (action.type === 'switch_view') router.goTo(pageOfView(action.parameters.view))
      else this.edit(action)
      return ''
    }
    if (request.url === '/txt2img' || request.url === '/txt2vid' || request.url === '/upscale') {
      await drafts.send(request.url.slice(1) as 'txt2img', request.body as Values)
      return ''
    }
    // A path of the server's own choice, checked by it: the types know only paths that are written in the code.
    const call = api.request as unknown as (
      method: string,
      url: string,
      init: object,
    ) => Promise<{ data?: unknown; error?: unknown; response: Response }>
    const answer = await ask(
      (signal) => call(request.method.toLowerCase(), request.url, { body: request.body, signal }),
      { timeoutMs: 0 },
    )
    const found = (answer as { models?: { name?: string }[] } | undefined)?.models
    return action.type === 'search_models' && Array.isArray(found)
      ? `${t.assistant.found}: ${found.map((one) => one.name).join(', ') || '-'}`
      : ''
  }

  /** Puts what was proposed into the draft. */
  edit(action: Action): void {
    drafts.take(action.parameters as Values, {
      merge: true,
      mode: action.type === 'txt2vid' ? 'video' : action.type === 'img2img' ? 'image' : undefined,
    })
    const picture = desk.chosen ?? server.latest[0]
    if (action.type === 'img2img' && picture && !drafts.active.inputs.init) {
      drafts.change(
        (draft) =>
          (draft.inputs.init = {
            from: 'output',
            path: picture.path,
            version: picture.version,
            width: picture.width,
            height: picture.height,
          }),
      )
    }
    router.goTo('generate')
  }
}

export const assistant = new Assistant()
