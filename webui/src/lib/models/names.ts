/** The parts of a model file’s name. */

/** The file's name without its folders. */
export function fileOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

export function folderOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('/')))
}

/** The file's name without folders and ending. */
export function stemOf(name: string): string {
  return fileOf(name).replace(/\.(safetensors|gguf|ckpt|pth?|bin|sft)$/i, '')
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' })
export function compareNames(a: string, b: string): number {
  return collator.compare(a, b)
}
