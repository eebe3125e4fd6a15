/** Switches between the light and the dark page, here and wherever the user signs in next. */
import { keepLook, readLook } from '../lib/look'
import { server } from '../state/server.svelte'

export function switchTheme(): void {
  const theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'
  keepLook({ ...readLook(), theme })
  void server.savePreferences({ theme }).catch(() => undefined)
}
