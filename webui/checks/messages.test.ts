/** Every word there is in English there is in German, and in German. */
import { expect, it } from 'vitest'
import de from '../src/messages/de'
import en from '../src/messages/en'

/** Words that are the same in both languages. */
const SAME = new Set(
  (
    'sdcpp rest stable diffusion cpp checkpoint checkpoints vaes controlnets vram ram gpu cpu vae lora loras seed sampler scheduler prompt prompts text name status export import ' +
    'token tokens cfg clip skip batch hires fix controlnet canny url png webp jpeg avif zip json csv fps id sha ' +
    'download downloads upload server version model modus canvas pixel filter tags tag details detail format ' +
    'civitai hugging face comfyui invokeai swarmui fooocus novelai forge github ollama openai api automatic ' +
    'wildcard wildcards embedding embeddings lasso video videos gif webm px gb mb kb hz ms ip http https api_keys sd flux wan info start stop code link links band ctrl enter esc shift alt tab preset presets'
  ).split(' '),
)

/** Prompts that are proposed: the models know English. */
const PROMPTS = /\.(demoPrompts|examples)\./

/** Names of the server's settings: where a language has none, the server's own English is shown. */
const LABELS = /\.labels\./

type Words = { [key: string]: string | readonly string[] | ((...given: never[]) => string) | Words }

function flatten(words: Words, above = ''): Map<string, string> {
  const found = new Map<string, string>()
  for (const [key, value] of Object.entries(words)) {
    const path = above ? `${above}.${key}` : key
    if (typeof value === 'string') found.set(path, value)
    else if (typeof value === 'function') found.set(path, say(value))
    else for (const [below, text] of flatten(value as Words, path)) found.set(below, text)
  }
  return found
}

/** What a message says of some number, or of some name where it wants one. */
function say(message: (...given: never[]) => string): string {
  for (const given of [2, '@', [], {}])
    try {
      return message(...(Array(Math.max(message.length, 1)).fill(given) as never[]))
    } catch {
      // It wants something else.
    }
  return ''
}

const english = flatten(en)
const german = flatten(de)

it('has the same keys in both languages', () => {
  const needed = [...german.keys()].filter((key) => english.has(key) || !LABELS.test(key))
  expect(needed.sort()).toEqual([...english.keys()].sort())
  expect(english.size).toBeGreaterThan(60)
})

it('leaves no message empty', () => {
  expect([...english, ...german].filter(([, text]) => text.trim() === '')).toEqual([])
})

it('says in German what it says in German words', () => {
  const untranslated = [...german].filter(
    ([key, text]) =>
      !PROMPTS.test(key) &&
      text === english.get(key) &&
      (text.toLowerCase().match(/\p{L}{2,}/gu) ?? []).some((word) => !SAME.has(word)),
  )
  expect(untranslated).toEqual([])
})

it('shouts in no language', () => {
  expect([...english, ...german].filter(([, text]) => text.includes('!'))).toEqual([])
})
