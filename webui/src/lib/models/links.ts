/** Reads what people paste when they want a model, and guesses what kind of file it is. The server checks all of it. */
import type { ModelType } from './types'

export type Link =
  | { source: 'huggingface'; repo_id: string; filename: string; revision: string }
  | { source: 'civitai'; model_id: string }
  | { source: 'url'; url: string; filename: string }

const REPO = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}\/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/
const HUB_HOSTS = new Set(['huggingface.co', 'www.huggingface.co', 'hf.co', 'hf-mirror.com'])
const CIVITAI_HOSTS = new Set(['civitai.com', 'www.civitai.com', 'civitai.red', 'civitai.green'])

/** Reads a link: a page or file at Hugging Face, a repository's name, a page or number at CivitAI, any address. */
export function readLink(text: string): Link | null {
  const given = text.trim()
  if (/^\d{1,18}([:@]\d{1,18})?$/.test(given)) return { source: 'civitai', model_id: given.replace('@', ':') }
  const air = /civitai:(\d{1,18})(?:@(\d{1,18}))?/i.exec(given)
  if (air && !/^https?:/i.test(given))
    return { source: 'civitai', model_id: [air[1], air[2]].filter(Boolean).join(':') }
  if (REPO.test(given)) return { source: 'huggingface', repo_id: given, filename: '', revision: 'main' }
  const url = readAddress(given)
  if (!url) return null
  const parts = url.pathname.split('/').filter(Boolean).map(decodeSafely)
  if (HUB_HOSTS.has(url.hostname)) return readHub(parts)
  if (CIVITAI_HOSTS.has(url.hostname)) {
    const version = url.searchParams.get('modelVersionId') ?? ''
    if (parts[0] === 'models' && /^\d+$/.test(parts[1] ?? ''))
      return { source: 'civitai', model_id: /^\d+$/.test(version) ? `${parts[1]}:${version}` : parts[1]! }
  }
  return { source: 'url', url: given, filename: parts.at(-1) ?? '' }
}

function readAddress(text: string): URL | null {
  const written = /^[a-z]+:\/\//i.test(text) ? text : /^[\w-]+(\.[\w-]+)+\//.test(text) ? `https://${text}` : ''
  try {
    const url = new URL(written)
    return url.protocol === 'https:' || url.protocol === 'http:' ? url : null
  } catch {
    return null
  }
}

function readHub(parts: string[]): Link | null {
  const repo_id = parts.slice(0, 2).join('/')
  if (!REPO.test(repo_id)) return null
  const [, , kind, revision = 'main', ...path] = parts
  const hasFile = kind === 'blob' || kind === 'resolve' || kind === 'raw'
  return {
    source: 'huggingface',
    repo_id,
    filename: hasFile ? path.join('/') : '',
    revision: kind ? revision : 'main',
  }
}

function decodeSafely(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

const SIGNS: readonly [RegExp, ModelType][] = [
  [/lora|lycoris|locon|lokr|(^|[/_.-])dora([/_.-]|$)/, 'lora'],
  [/control[-_]?(net|lora)|(^|\/)control_|t2i[-_]?adapter/, 'controlnet'],
  [/(^|[/_.-])tae(sd|f|w|hv)|taesd/, 'taesd'],
  [/esrgan|upscal|(^|[/_.-])[248]x[-_]|[-_]x[248]|swinir|remacri|ultrasharp/, 'esrgan'],
  [/(^|[/_.-])vae|vae([/_.-]|$)|(^|\/)ae\.(safetensors|sft|gguf)$/, 'vae'],
  [/(^|[/_.-])u?m?t5/, 't5'],
  [/clip[-_]?[lghv]|(^|[/_.-])clip([/_.-]|$)|open_clip/, 'clip'],
  [/qwen[-_]?image|z[-_]?image/, 'diffusion'],
  [/qwen|mistral|ministral|gemma|llama|text_encoders\/|mmproj/, 'llm'],
  [/embedding|textual|(^|[/_.-])easynegative|bad[-_]?hands?/, 'embedding'],
  [/diffusion_models\/|(^|\/)unet\/|flux|chroma|(^|[/_.-])wan[-_.]?2|(^|[/_.-])anima|ovis|hidream/, 'diffusion'],
]

/** Guesses what kind of model a file is, by its name and where it is from. */
export function guessType(name: string, sizeBytes: number | null = null): ModelType {
  const text = name.toLowerCase()
  for (const [sign, type] of SIGNS) if (sign.test(text)) return type
  if (/\.(pt|bin)$/.test(text) || (sizeBytes !== null && sizeBytes < 1e6)) return 'embedding'
  if (/\.pth$/.test(text)) return 'esrgan'
  return /\.gguf$/.test(text) ? 'diffusion' : 'checkpoint'
}
