/** The types of model files: their order, and under which name each route knows them. */
import type { Schemas } from '../api/client'

export type ModelFile = Schemas['ModelShown']
export type ModelType = ModelFile['type']

export const MODEL_TYPES: readonly ModelType[] = [
  'checkpoint',
  'diffusion',
  'lora',
  'vae',
  'clip',
  't5',
  'llm',
  'controlnet',
  'esrgan',
  'taesd',
  'embedding',
]

/** The list of `GET /models` that holds a type. */
export const LIST_OF_TYPE = {
  checkpoint: 'checkpoints',
  diffusion: 'diffusion_models',
  lora: 'loras',
  vae: 'vae',
  clip: 'clip',
  t5: 't5',
  llm: 'llm',
  controlnet: 'controlnets',
  esrgan: 'esrgan',
  taesd: 'taesd',
  embedding: 'embeddings',
} as const satisfies Record<ModelType, keyof Schemas['ModelNames']>

/** The entry of `GET /models/paths` that tells the folder of a type. */
export const PATH_OF_TYPE = {
  checkpoint: 'checkpoints',
  diffusion: 'diffusion_models',
  lora: 'lora',
  vae: 'vae',
  clip: 'clip',
  t5: 't5',
  llm: 'llm',
  controlnet: 'controlnet',
  esrgan: 'esrgan',
  taesd: 'taesd',
  embedding: 'embeddings',
} as const satisfies Record<ModelType, keyof Schemas['ModelPaths']>

export function isModelType(text: string): text is ModelType {
  return (MODEL_TYPES as readonly string[]).includes(text)
}

/** Whether a type is what pictures are drawn with, so that it can be loaded by itself. */
export function drawsPictures(type: ModelType): type is 'checkpoint' | 'diffusion' {
  return type === 'checkpoint' || type === 'diffusion'
}
