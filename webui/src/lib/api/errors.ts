import { t } from '../i18n'

/** What a call can come to besides its answer. `status` 0: the server was not reached, or did not answer in time. */
export class ApiError extends Error {
  readonly status: number
  /** The server's word for it (`invalid_request`, `engine_crashed`), or `away`, `timeout`, `aborted`, `unreadable`. */
  readonly code: string
  /** The field of the body that is meant. */
  readonly field: string | null
  /** All of the error's body. */
  readonly details: Record<string, unknown>

  constructor(
    status: number,
    code: string,
    message: string,
    field: string | null = null,
    details: Record<string, unknown> = {},
  ) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.code = code
    this.field = field
    this.details = details
  }

  /** Whether the server may well answer the same call a little later. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504
  }
}

/** Makes the error of an answer that is none of 2xx, from whatever body it has: a proxy's page is not repeated. */
export function errorOfAnswer(status: number, body: unknown): ApiError {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
    const told = body as Record<string, unknown>
    const message = typeof told.error === 'string' ? told.error : typeof told.message === 'string' ? told.message : ''
    if (message)
      return new ApiError(
        status,
        typeof told.code === 'string' ? told.code : 'error',
        message,
        typeof told.field === 'string' ? told.field : null,
        told,
      )
  }
  return new ApiError(status, status >= 500 ? 'server_error' : 'error', `HTTP ${status}`)
}

/** Makes an `ApiError` of whatever a call has thrown. */
export function errorOfThrown(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown
  if (thrown instanceof DOMException && thrown.name === 'TimeoutError')
    return new ApiError(0, 'timeout', t?.common.problems.timeout ?? 'timeout')
  if (thrown instanceof DOMException && thrown.name === 'AbortError')
    return new ApiError(0, 'aborted', t?.common.problems.aborted ?? 'aborted')
  if (thrown instanceof SyntaxError) return new ApiError(0, 'unreadable', t?.common.problems.unreadable ?? 'unreadable')
  return new ApiError(0, 'away', t?.common.problems.away ?? 'away')
}
