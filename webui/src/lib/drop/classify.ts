/** Tells what a file or a text that was dropped or pasted is, before anything of it is read. */

export type DroppedKind = 'picture' | 'video' | 'model' | 'styles' | 'unsupported'

export interface FileLike {
  name: string
  type: string
  size: number
}

const PICTURES = new Set(['png', 'jpg', 'jpeg', 'webp', 'avif', 'gif', 'bmp'])
const VIDEOS = new Set(['mp4', 'webm', 'm4v', 'mov'])
const MODELS = new Set(['gguf', 'safetensors', 'ckpt', 'pt', 'pth', 'bin', 'sft'])
const STYLES = new Set(['csv', 'json'])

export function endingOf(name: string): string {
  const at = name.lastIndexOf('.')
  return at > 0 ? name.slice(at + 1).toLowerCase() : ''
}

/** Names the kind by the ending, else by the media type; a picture format that browsers do not draw is unsupported. */
export function classifyFile(file: FileLike): DroppedKind {
  const ending = endingOf(file.name)
  if (PICTURES.has(ending)) return 'picture'
  if (VIDEOS.has(ending)) return 'video'
  if (MODELS.has(ending)) return 'model'
  if (STYLES.has(ending)) return 'styles'
  if (ending === '' && /^image\/(png|jpeg|webp|avif|gif|bmp)$/.test(file.type)) return 'picture'
  if (ending === '' && /^video\/(mp4|webm)$/.test(file.type)) return 'video'
  return 'unsupported'
}

/** What is wrong with a file without opening it; null: nothing that can be seen from outside. */
export function refuseFile(file: FileLike, limit: number): 'empty' | 'too-large' | 'unsupported' | null {
  const kind = classifyFile(file)
  if (kind === 'unsupported') return 'unsupported'
  if (file.size === 0) return 'empty'
  // Models go to the server in a stream of their own; everything else is part of a request.
  return kind !== 'model' && file.size > limit ? 'too-large' : null
}

/** Finds a link to a model in a pasted text: a page or a file of Hugging Face or CivitAI. */
export function findModelLink(text: string): string | null {
  const trimmed = text.trim()
  if (/\s/.test(trimmed) || trimmed.length > 2_000) return null
  let url: URL
  try {
    url = new URL(trimmed)
  } catch {
    return null
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return null
  const host = url.hostname.replace(/^www\./, '')
  if (host === 'civitai.com' || host === 'civitai.green')
    return /^\/(models|api\/download\/models)\//.test(url.pathname) ? url.href : null
  if (host === 'huggingface.co' || host === 'hf.co')
    return url.pathname.split('/').filter(Boolean).length >= 2 ? url.href : null
  return MODELS.has(endingOf(url.pathname)) ? url.href : null
}
