/** Asks the server what a picture or video says of how it was made. */
import { api, ask, type Schemas } from './client'

const READ_MS = 60_000

/** Reads the settings in a file's bytes. */
export function readMetadata(file: Blob, signal?: AbortSignal): Promise<Schemas['ReadSettings']> {
  return ask(
    (limited) =>
      api.POST('/metadata/read', {
        body: file as never,
        bodySerializer: (body: unknown) => body as BodyInit,
        headers: { 'Content-Type': 'application/octet-stream' },
        signal: limited,
      }),
    { signal, timeoutMs: READ_MS },
  )
}
