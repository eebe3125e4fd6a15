/**
 * The words of the page. Each language is one object with the shape of the English one, so that a missing or a
 * misspelt key, or a wrong number of arguments, is an error of the type check and never a hole in the page. One
 * language is loaded, once, before anything is shown; another one is chosen by loading the page anew.
 */
import type { Messages } from '../messages/en'
import { setFormatLanguage } from './format'

export const LANGUAGES = { en: 'English', de: 'Deutsch' } as const
export type Language = keyof typeof LANGUAGES

const LOADERS: Record<Language, () => Promise<{ default: Messages }>> = {
  en: () => import('../messages/en'),
  de: () => import('../messages/de'),
}

/** The words. Empty until `loadLanguage` has ended. */
export let t: Messages

/** Chooses the language: the one that was set, or the first of the browser's that there is. */
export function chooseLanguage(wanted: string | undefined, browser: readonly string[]): Language {
  for (const tag of [wanted ?? '', ...browser]) {
    const short = tag.toLowerCase().split('-')[0]
    if (short && short in LANGUAGES) return short as Language
  }
  return 'en'
}

export async function loadLanguage(language: Language): Promise<void> {
  t = (await LOADERS[language]()).default
  setFormatLanguage(language)
  if (typeof document !== 'undefined') document.documentElement.lang = language
}
