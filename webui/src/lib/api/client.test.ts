import { afterEach, describe, expect, it, vi } from 'vitest'
import { ask, limitCall, makeKey, onSignedOut, submitOnce } from './client'
import { ApiError, errorOfAnswer, errorOfThrown } from './errors'

const answer = (status: number, body: unknown) => ({
  response: new Response(null, { status }),
  ...(status < 300 ? { data: body } : { error: body }),
})
const ended = async (promise: Promise<unknown>): Promise<ApiError> =>
  promise.then(
    () => Promise.reject(new Error('it was answered')),
    (thrown: unknown) => thrown as ApiError,
  )

afterEach(() => onSignedOut(() => undefined))

describe('ask', () => {
  it('returns the answer', async () => {
    expect(await ask(() => Promise.resolve(answer(200, { total: 3 })))).toEqual({ total: 3 })
  })

  it('throws what the server says, with the field that is meant', async () => {
    const error = await ended(
      ask(() =>
        Promise.resolve(answer(400, { error: 'steps must be a number', code: 'invalid_request', field: 'steps' })),
      ),
    )
    expect(error).toMatchObject({
      status: 400,
      code: 'invalid_request',
      field: 'steps',
      message: 'steps must be a number',
      isPassing: false,
    })
  })

  it('does not repeat a proxy’s page', async () => {
    expect((await ended(ask(() => Promise.resolve(answer(502, '<html>Bad gateway</html>'))))).message).toBe('HTTP 502')
    expect(errorOfAnswer(418, { message: 'teapot' })).toMatchObject({ message: 'teapot', code: 'error' })
    expect(errorOfAnswer(500, [1])).toMatchObject({ code: 'server_error', isPassing: false })
    expect(errorOfAnswer(503, null).isPassing).toBe(true)
  })

  it('tells when the session has ended', async () => {
    const tell = vi.fn()
    onSignedOut(tell)
    await ended(ask(() => Promise.resolve(answer(401, { error: 'no' }))))
    expect(tell).toHaveBeenCalledOnce()
  })

  it('names what is no answer at all', async () => {
    expect(await ended(ask(() => Promise.reject(new TypeError('fetch failed'))))).toMatchObject({
      status: 0,
      code: 'away',
      isPassing: true,
    })
    expect(errorOfThrown(new DOMException('', 'TimeoutError')).code).toBe('timeout')
    expect(errorOfThrown(new DOMException('', 'AbortError')).code).toBe('aborted')
    expect(errorOfThrown(new SyntaxError('x')).code).toBe('unreadable')
  })

  it('gives a call up when its time is over, or its caller goes', async () => {
    const never = (signal?: AbortSignal) =>
      new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))
    expect((await ended(ask(never, { timeoutMs: 5 }))).code).toBe('timeout')
    const given = new AbortController()
    const asked = ended(ask(never, { signal: given.signal }))
    given.abort()
    expect((await asked).code).toBe('aborted')
    expect(limitCall({ timeoutMs: 0 })).toBeUndefined()
  })
})

describe('submitOnce', () => {
  it('sends the same key again after a break, and only then', async () => {
    const keys: string[] = []
    const back = vi.fn(() => Promise.resolve())
    const send = vi.fn((key: string) => {
      keys.push(key)
      return keys.length < 3 ? Promise.reject(new TypeError('gone')) : Promise.resolve(answer(202, { job_id: 'a' }))
    })
    expect(await submitOnce(send, back)).toEqual({ job_id: 'a' })
    expect(new Set(keys).size).toBe(1)
    expect(keys).toHaveLength(3)
    expect(back).toHaveBeenCalledTimes(2)
  })

  it('does not repeat what was refused, or given up', async () => {
    const send = vi.fn(() => Promise.resolve(answer(400, { error: 'no' })))
    await ended(submitOnce(send, () => Promise.resolve()))
    expect(send).toHaveBeenCalledOnce()
    const given = AbortSignal.abort()
    const gone = vi.fn(() => Promise.reject(new TypeError('gone')))
    await ended(submitOnce(gone, () => Promise.resolve(), { signal: given }))
    expect(gone).toHaveBeenCalledOnce()
  })

  it('repeats a proxy’s 502, and takes the server’s own for an answer', async () => {
    const page = answer(502, '<html>Bad gateway</html>')
    const behindProxy = vi
      .fn()
      .mockResolvedValueOnce(page)
      .mockResolvedValueOnce(answer(202, { job_id: 'a' }))
    const back = vi.fn(() => Promise.resolve())
    expect(await submitOnce(behindProxy, back)).toEqual({ job_id: 'a' })
    expect(behindProxy).toHaveBeenCalledTimes(2)
    expect(back).toHaveBeenCalledOnce()

    const told = { error: 'Hugging Face cannot be reached', code: 'source_unreachable' }
    const away = vi.fn(() => Promise.resolve(answer(502, told)))
    expect(await ended(submitOnce(away, back))).toMatchObject({ status: 502, code: told.code, message: told.error })
    expect(away).toHaveBeenCalledOnce()
    expect(back).toHaveBeenCalledOnce()
  })

  it('makes keys that differ', () => {
    expect(makeKey()).toMatch(/^[0-9a-f]{32}$/)
    expect(makeKey()).not.toBe(makeKey())
  })
})
