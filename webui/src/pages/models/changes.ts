/** Calls that ask about one model file, or change it. */
import { api, ask, submitOnce, type CallOptions, type Schemas } from '../../lib/api/client'
import { encodeFile } from '../../state/drafts.svelte'
import { server } from '../../state/server.svelte'
import type { ModelFile } from '../../lib/models/types'
import { library, pathOf, type Card } from './library.svelte'

type Named = Pick<ModelFile, 'type' | 'name'>

export function inspectModel(file: Named, options: CallOptions = {}): Promise<Schemas['InspectedShown']> {
  return ask(
    (signal) => api.GET('/models/{model_type}/{model_name}/inspect', { params: { path: pathOf(file) }, signal }),
    options,
  )
}

export function detectModel(file: Named, options: CallOptions = {}): Promise<Schemas['DetectionShown']> {
  return ask(
    (signal) => api.GET('/architectures/detect', { params: { query: { model: file.name, type: file.type } }, signal }),
    options,
  )
}

export function fitModel(
  file: Named,
  component: string[],
  weight_type: string,
  options: CallOptions = {},
): Promise<Schemas['FitShown']> {
  return ask(
    (signal) =>
      api.GET('/models/{model_type}/{model_name}/fit', {
        params: {
          path: pathOf(file),
          query: { ...(component.length > 0 ? { component } : {}), ...(weight_type ? { weight_type } : {}) },
        },
        signal,
      }),
    options,
  )
}

export function describeLoadOptions(options: CallOptions = {}): Promise<Schemas['LoadOptions']> {
  return ask((signal) => api.GET('/options/descriptions', { signal }), options) as Promise<Schemas['LoadOptions']>
}

export interface QuantizationType {
  id: string
  name: string
  bits_per_weight: number
}

/** The number formats that a file can be written in. */
export async function listQuantizations(options: CallOptions = {}): Promise<QuantizationType[]> {
  const told = await ask((signal) => api.GET('/options', { signal }), options)
  return told.quantization_types
}

/** Reads a file's sum; a large file takes minutes. */
export async function hashModel(file: Named, options: CallOptions = {}): Promise<string> {
  const told = await ask(
    (signal) => api.GET('/models/hash/{model_type}/{model_name}', { params: { path: pathOf(file) }, signal }),
    { timeoutMs: 0, ...options },
  )
  return told.hash
}

export async function convertModel(body: Schemas['ConvertBody']): Promise<Schemas['ConversionAccepted']> {
  const accepted = await submitOnce<Schemas['ConversionAccepted']>(
    (key, signal) => api.POST('/convert', { body, params: { header: { 'Idempotency-Key': key } }, signal }),
    () => server.untilBack(),
  )
  await server.fetchJob(accepted.job_id)
  return accepted
}

export async function changeModel(file: Named, body: Schemas['ModelBody']): Promise<Schemas['ModelMoved']> {
  const moved = await ask((signal) =>
    api.PATCH('/models/{model_type}/{model_name}', { params: { path: pathOf(file) }, body, signal }),
  )
  await library.reload()
  return moved
}

export async function deleteModel(file: Named, confirm: string): Promise<void> {
  await ask((signal) =>
    api.DELETE('/models/{model_type}/{model_name}', {
      params: { path: pathOf(file), query: { confirm } },
      signal,
    }),
  )
  await library.reload()
}

export async function saveCard(file: Named, body: Schemas['CardBody']): Promise<Card> {
  const card = await ask((signal) =>
    api.PUT('/models/{model_type}/{model_name}/card', { params: { path: pathOf(file) }, body, signal }),
  )
  library.takeCard(file, card)
  return card
}

/** Asks CivitAI what a file is; the server does that only where its configuration allows it. */
export async function refreshCard(file: Named): Promise<Card> {
  const card = await ask(
    (signal) => api.POST('/models/{model_type}/{model_name}/card/refresh', { params: { path: pathOf(file) }, signal }),
    { timeoutMs: 0 },
  )
  library.takeCard(file, card)
  return card
}

/** Puts a picture beside a model: one of the gallery, or a file of the user's. */
export async function setPreview(file: Named, picture: { output: string } | { blob: Blob }): Promise<void> {
  const body = 'output' in picture ? picture : { image: await encodeFile(picture.blob) }
  const card = await ask((signal) =>
    api.PUT('/models/{model_type}/{model_name}/preview', { params: { path: pathOf(file) }, body, signal }),
  )
  library.takeCard(file, card)
}

export async function removePreview(file: Named): Promise<void> {
  await ask((signal) =>
    api.DELETE('/models/{model_type}/{model_name}/preview', { params: { path: pathOf(file) }, signal }),
  )
  await library.fetchCard(file)
}
