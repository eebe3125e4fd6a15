/** Keeps what is to be made larger, how, and what came of it. */
import type { PictureSource, Values } from '../../lib/drafts/draft'
import { sendPicture } from '../../lib/drafts/draft'
import { encodeFile, drafts } from '../../state/drafts.svelte'
import { factorOfName } from '../../lib/pictures/upscalers'
import { server } from '../../state/server.svelte'

export interface UpscaleItem {
  id: number
  source: PictureSource
  width: number
  height: number
  jobId: string | null
}

class Upscaling {
  items = $state<UpscaleItem[]>([])
  /** Empty: the one that the server has chosen. */
  upscaler = $state('')
  /** 0: what the upscaler is made for. */
  factor = $state(0)
  tile = $state(0)
  repeats = $state(1)
  private last = 0

  add(...sources: PictureSource[]): void {
    for (const source of sources)
      this.items.push({ id: ++this.last, source, width: source.width ?? 0, height: source.height ?? 0, jobId: null })
  }

  remove(id: number): void {
    this.items = this.items.filter((one) => one.id !== id)
  }

  readonly name = $derived(this.upscaler || server.health?.upscaler_name || server.upscalers[0] || '')
  /** How many times larger a picture becomes; the file's name tells it where nothing was chosen. */
  readonly times = $derived((this.factor || factorOfName(this.name)) ** this.repeats)

  /** Starts a job for each picture that has none yet. */
  async start(): Promise<void> {
    for (const item of this.items.filter((one) => one.jobId === null)) {
      const body: Values = {
        image_base64: await sendPicture($state.snapshot(item.source) as PictureSource, encodeFile),
        repeats: this.repeats,
      }
      if (this.name) body.upscaler = { model: { name: this.name }, ...(this.tile ? { tile_size: this.tile } : {}) }
      if (this.factor) body.upscale_factor = this.factor
      item.jobId = (await drafts.send('upscale', body, 'upscale')).job_id
    }
  }
}

export const upscaling = new Upscaling()
