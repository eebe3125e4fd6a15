import createClient, { type Client } from 'openapi-fetch'
import type { components, paths } from '../../api'
import { root } from '../address'
import { ApiError, errorOfAnswer, errorOfThrown } from './errors'

export type Schemas = components['schemas']

const PATIENCE_MS = 30_000

export interface CallOptions {
  signal?: AbortSignal
  /** How long to wait for the answer; 0: as long as it takes (uploads, language models). */
  timeoutMs?: number
}

/** Adds a time limit to a call's own signal. */
export function limitCall(options: CallOptions): AbortSignal | undefined {
  const limit = options.timeoutMs ?? PATIENCE_MS
  const signals = [options.signal, limit > 0 ? AbortSignal.timeout(limit) : undefined].filter(
    (one) => one !== undefined,
  )
  return signals.length > 1 ? AbortSignal.any(signals) : signals[0]
}

/** The typed calls of the server. Use them through `ask`, which throws what is no answer. */
export const api: Client<paths> = createClient<paths>({
  baseUrl: root.href.replace(/\/$/, ''),
  credentials: 'same-origin',
})

interface Answered<T> {
  data?: T
  error?: unknown
  response: Response
}

let tellSignedOut: () => void = () => undefined

/** Names what is to be done when any call finds that the session has ended. */
export function onSignedOut(tell: () => void): void {
  tellSignedOut = tell
}

/**
 * Waits for a call of `api` and returns its answer; throws `ApiError` for everything else.
 *
 *     const page = await ask((signal) => api.GET('/gallery', { params: { query: { limit: 50 } }, signal }))
 */
export async function ask<T>(
  call: (signal: AbortSignal | undefined) => Promise<Answered<T>>,
  options: CallOptions = {},
): Promise<T> {
  let answered: Answered<T>
  try {
    answered = await call(limitCall(options))
  } catch (thrown) {
    throw errorOfThrown(thrown)
  }
  const { data, error, response } = answered
  if (response.ok) return data as T
  if (response.status === 401) tellSignedOut()
  throw errorOfAnswer(response.status, error)
}

/** Makes a key that names one submission, also where the page is not a secure context (plain http in a home network). */
export function makeKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * Whether a submission may have arrived although no answer did. A 502 with the server's own words is an answer: the
 * server could not reach another one, and asking again at once would change nothing.
 */
function mayHaveArrived(failed: ApiError): boolean {
  return (
    failed.code === 'away' || failed.code === 'timeout' || (failed.status === 502 && failed.code === 'server_error')
  )
}

/**
 * Submits something once, however often the connection breaks: every attempt carries the same `Idempotency-Key`, so the
 * server answers a repeated one with the first one's job. `untilBack` resolves when the server can be reached again.
 */
export async function submitOnce<T>(
  send: (key: string, signal: AbortSignal | undefined) => Promise<Answered<T>>,
  untilBack: () => Promise<void>,
  options: CallOptions = {},
): Promise<T> {
  const key = makeKey()
  for (;;) {
    try {
      return await ask((signal) => send(key, signal), options)
    } catch (thrown) {
      const failed = errorOfThrown(thrown)
      if (options.signal?.aborted || !mayHaveArrived(failed)) throw failed
      await untilBack()
    }
  }
}

export { ApiError }
