/** How large a picture may become, and in which steps, by the loaded model and the server. */
import { server } from '../state/server.svelte'

class CanvasLimits {
  readonly step = $derived(Math.max(1, server.preset?.size_multiple ?? 64))
  readonly largest = $derived(server.limits.side ?? 4096)
}

export const canvasLimits = new CanvasLimits()
