import { describe, expect, it } from 'vitest'
import { chooseLanguage, LANGUAGES, loadAllWords, loadLanguage, loadWithWords, t, type Language } from './i18n'
import { cleanLook, readLook } from './look'

describe('the language', () => {
  it('is the one that was set, else the browser’s first that there is', () => {
    expect(chooseLanguage('de', ['en-GB'])).toBe('de')
    expect(chooseLanguage(undefined, ['fr-FR', 'de-AT', 'en'])).toBe('de')
    expect(chooseLanguage('xx', ['fr'])).toBe('en')
    expect(chooseLanguage(undefined, [])).toBe('en')
  })

  it('brings the words of later pages with them', async () => {
    await loadLanguage('en')
    expect(t.settings).toBeUndefined()
    expect(await loadWithWords(() => Promise.resolve('the page'))).toBe('the page')
    expect(t.settings.title).toBe('Settings')
    await expect(loadWithWords(() => Promise.reject(new Error('gone')))).rejects.toThrow('gone')
    expect(loadAllWords()).toBe(loadAllWords())
  })

  it('is loaded before anything is shown', async () => {
    for (const language of Object.keys(LANGUAGES) as Language[]) {
      await loadLanguage(language)
      expect(t.common.undo).toBe({ en: 'Undo', de: 'Rückgängig' }[language])
      expect(t.common.pictures(1)).toMatch(/^1 \p{L}+$/u)
    }
  })
})

describe('the look that is kept', () => {
  it('takes what is ours and nothing else', () => {
    expect(cleanLook({ theme: 'dark', density: 'compact', motion: 'none', language: 'de', evil: 1 })).toEqual({
      theme: 'dark',
      density: 'compact',
      motion: 'none',
      language: 'de',
    })
    expect(cleanLook({ theme: 'blue', language: 3 })).toEqual({})
    expect(cleanLook('dark')).toEqual({})
    expect(readLook({ getItem: () => '{broken' })).toEqual({})
    expect(readLook({ getItem: () => '{"theme":"light"}' })).toEqual({ theme: 'light' })
    expect(readLook(undefined)).toEqual({})
  })
})
