import { api, ask, type Schemas } from '../api/client'

/** Reads the factor out of a name such as `RealESRGAN_x4plus.pth` or `4x-UltraSharp.safetensors`; 4 is the usual one. */
export function factorOfName(name: string): number {
  const match = /(?:^|[^a-z0-9])(?:x([1248])|([1248])x)/i.exec(name)
  return Number(match?.[1] ?? match?.[2] ?? 4)
}

/** Has the server load an upscaler, however long that takes; throws `ApiError`. */
export function loadUpscaler(model_name: string): Promise<Schemas['UpscalerShown']> {
  return ask((signal) => api.POST('/upscaler/load', { body: { model_name }, signal }), { timeoutMs: 0 })
}
