/** How large tiles are: a preference of the page, kept on the server. */
import { server } from '../../state/server.svelte'

export const SMALLEST_TILE = 96
export const LARGEST_TILE = 320
const USUAL_TILE = 176
const PHONE_TILE = 112
const KEEP_MS = 600

export function readTileSize(): number {
  const kept = (server.preferences.gallery as { tile_size?: unknown } | undefined)?.tile_size
  const usual = matchMedia('(max-width: 760px)').matches ? PHONE_TILE : USUAL_TILE
  return typeof kept === 'number' && kept >= SMALLEST_TILE && kept <= LARGEST_TILE ? kept : usual
}

let keeping: ReturnType<typeof setTimeout> | null = null

/** Keeps a size, once the slider rests. */
export function keepTileSize(size: number): void {
  if (keeping) clearTimeout(keeping)
  keeping = setTimeout(() => {
    const gallery = { ...(server.preferences.gallery as object | undefined), tile_size: size }
    // What cannot be kept is shown all the same.
    void server.savePreferences({ gallery }).catch(() => undefined)
  }, KEEP_MS)
}
