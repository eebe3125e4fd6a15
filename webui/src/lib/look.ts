/**
 * How the page looks: theme, density, motion, language. It follows the user as a preference on the server; a copy in the
 * browser serves the first paint (`public/theme.js`), before anything was asked.
 */
export interface Look {
  theme?: 'light' | 'dark'
  density?: 'compact'
  motion?: 'none'
  language?: string
}

export const LOOK_KEY = 'sdcpp-rest.look'

/** Reads what any version of the page has kept; what is none of ours is nothing. */
export function cleanLook(kept: unknown): Look {
  if (typeof kept !== 'object' || kept === null) return {}
  const told = kept as Record<string, unknown>
  return {
    ...(told.theme === 'light' || told.theme === 'dark' ? { theme: told.theme } : {}),
    ...(told.density === 'compact' ? { density: told.density } : {}),
    ...(told.motion === 'none' ? { motion: told.motion } : {}),
    ...(typeof told.language === 'string' ? { language: told.language } : {}),
  }
}

export function readLook(storage: Pick<Storage, 'getItem'> | undefined = globalThis.localStorage): Look {
  try {
    return cleanLook(JSON.parse(storage?.getItem(LOOK_KEY) ?? '{}'))
  } catch {
    return {}
  }
}

/** Keeps a look in the browser and shows it at once; the language takes a reload. */
export function keepLook(look: Look): void {
  try {
    localStorage.setItem(LOOK_KEY, JSON.stringify(look))
  } catch {
    // Storage can be forbidden: the look then lasts as long as the page.
  }
  const rootElement = document.documentElement
  const dark = look.theme ? look.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  rootElement.dataset.theme = dark ? 'dark' : 'light'
  if (look.density) rootElement.dataset.density = look.density
  else delete rootElement.dataset.density
  if (look.motion) rootElement.dataset.motion = look.motion
  else delete rootElement.dataset.motion
}
