/** Lists of model files: made one, counted, searched, sorted, named. */
import type { Schemas } from '../api/client'
import { compareNames, fileOf, stemOf } from './names'
import { drawsPictures, isModelType, LIST_OF_TYPE, MODEL_TYPES, type ModelFile, type ModelType } from './types'

export { compareNames, fileOf, folderOf, stemOf } from './names'

export type SortBy = 'name' | 'size' | 'type'
export const SORTS: readonly SortBy[] = ['name', 'size', 'type']

/** Puts the lists of `GET /models` into one. */
export function flattenModels(shown: Schemas['ModelsShown']): ModelFile[] {
  return MODEL_TYPES.flatMap((type) => shown[LIST_OF_TYPE[type]] ?? [])
}

export function countByType(files: readonly ModelFile[]): Record<ModelType, number> {
  const counts = Object.fromEntries(MODEL_TYPES.map((type) => [type, 0])) as Record<ModelType, number>
  for (const file of files) counts[file.type] += 1
  return counts
}

export interface Wanted {
  type: ModelType | ''
  words: string
  sort: SortBy
}

/** Finds the files of a type whose name or title has every word, in any case, and sorts them. */
export function findModels(
  files: readonly ModelFile[],
  wanted: Wanted,
  titleOf: (file: ModelFile) => string = () => '',
): ModelFile[] {
  const words = wanted.words.toLowerCase().split(/\s+/).filter(Boolean)
  const order = (a: ModelFile, b: ModelFile): number => compareNames(a.name, b.name)
  return files
    .filter((file) => {
      if (wanted.type && file.type !== wanted.type) return false
      const text = `${file.name} ${titleOf(file)}`.toLowerCase()
      return words.every((word) => text.includes(word))
    })
    .sort((a, b) => {
      // What is loaded is what one looks for most.
      if (a.is_loaded !== b.is_loaded) return a.is_loaded ? -1 : 1
      if (wanted.sort === 'size') return b.size_bytes - a.size_bytes || order(a, b)
      if (wanted.sort === 'type') return MODEL_TYPES.indexOf(a.type) - MODEL_TYPES.indexOf(b.type) || order(a, b)
      return order(a, b)
    })
}

/** Names a file in an address: `lora:style.safetensors`. */
export function idOf(file: Pick<ModelFile, 'type' | 'name'>): string {
  return `${file.type}:${file.name}`
}

/** Reads what `idOf` has written. */
export function readId(id: string): { type: ModelType; name: string } | null {
  const at = id.indexOf(':')
  const type = id.slice(0, at)
  return at > 0 && id.length > at + 1 && isModelType(type) ? { type, name: id.slice(at + 1) } : null
}

/** Finds the model that a name means, with or without its folders and ending, among those that can be loaded. */
export function findLoadable(files: readonly ModelFile[], name: string): ModelFile | undefined {
  const models = files.filter((file) => drawsPictures(file.type))
  const wanted = readId(name)?.name ?? name
  return (
    models.find((file) => file.name === wanted) ??
    models.find((file) => fileOf(file.name) === fileOf(wanted)) ??
    models.find((file) => stemOf(file.name) === stemOf(wanted))
  )
}

const QUANTIZATION =
  /(?:^|[-_.])((?:iq[1-4]|q[2-8])_(?:k_?(?:xl|[sml])|k|nl|xxs|xs|[sm01])|tq[12]_0|mxfp4|nvfp4|bf16|fp?16|fp?32|fp8(?:_e\dm\d(?:fn)?)?)(?=$|[-_.])/i

/** Reads the number format out of a file's name, as people write it ("Q4_K_M"); empty where it says none. */
export function quantOf(name: string): string {
  const found = QUANTIZATION.exec(stemOf(name))?.[1]?.toUpperCase() ?? ''
  return found.startsWith('FP8') ? 'FP8' : found.replace(/^FP(16|32)$/, 'F$1')
}

/** Whether a model is the small one that comes with the server. */
export function isDemo(name: string): boolean {
  return /^demo_/i.test(fileOf(name))
}

/** Whether the model that comes with the server is all that pictures can be drawn with. */
export function hasOnlyDemo(names: Pick<Schemas['ModelNames'], 'checkpoints' | 'diffusion_models'> | null): boolean {
  return names !== null && [...names.checkpoints, ...names.diffusion_models].every(isDemo)
}
