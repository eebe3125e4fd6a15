/**
 * The words of the page. Each language is one object with the shape of the English one, so that a missing or a
 * misspelt key, or a wrong number of arguments, is an error of the type check and never a hole in the page. One
 * language is loaded, once, before anything is shown; another one is chosen by loading the page anew.
 */
import type { Messages } from '../messages/en'
import { setFormatLanguage } from './format'

export const LANGUAGES = { en: 'English', de: 'Deutsch' } as const
export type Language = keyof typeof LANGUAGES

type Part = () => Promise<{ default: Partial<Messages> }>
const LOADERS: Record<Language, { first: Part; rest: Part }> = {
  en: { first: () => import('../messages/en/first'), rest: () => import('../messages/en/rest') },
  de: { first: () => import('../messages/de/first'), rest: () => import('../messages/de/rest') },
}

/** The words. Empty until `loadLanguage` has ended; those of pages that are opened later come with `loadWithWords`. */
export let t: Messages

let loaded: Language = 'en'
let rest: Promise<void> | null = null

/** Chooses the language: the one that was set, or the first of the browser's that there is. */
export function chooseLanguage(wanted: string | undefined, browser: readonly string[]): Language {
  for (const tag of [wanted ?? '', ...browser]) {
    const short = tag.toLowerCase().split('-')[0]
    if (short && short in LANGUAGES) return short as Language
  }
  return 'en'
}

/** Loads the words that are needed at once. */
export async function loadLanguage(language: Language): Promise<void> {
  const first = await LOADERS[language].first()
  t = { ...first.default } as Messages
  loaded = language
  rest = null
  setFormatLanguage(language)
  if (typeof document !== 'undefined') document.documentElement.lang = language
}

/** Loads all other words, once. A failure is not kept: the next attempt tries again. */
export function loadAllWords(): Promise<void> {
  rest ??= LOADERS[loaded].rest().then(
    (told) => void Object.assign(t, told.default),
    (thrown: unknown) => {
      rest = null
      throw thrown
    },
  )
  return rest
}

/** Loads a part of the page together with the words that it says. */
export async function loadWithWords<T>(load: () => Promise<T>): Promise<T> {
  const [part] = await Promise.all([load(), loadAllWords()])
  return part
}
