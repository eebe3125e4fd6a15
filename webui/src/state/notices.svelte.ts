/** Tells things in passing: a line at the bottom, with a way back where there is one, and words for screen readers. */
import { errorOfThrown } from '../lib/api/errors'

export interface Notice {
  id: number
  text: string
  tone: 'plain' | 'bad'
  action?: { label: string; run: () => void }
}

const SHOWN_MS = 8_000
const MOST = 2

class Notices {
  shown = $state<Notice[]>([])
  /** What a screen reader says next. */
  announced = $state('')
  private last = 0

  /** Shows a line. One with an action stays a little longer; one that tells a failure stays until it is closed. */
  tell(text: string, options: { tone?: 'plain' | 'bad'; action?: Notice['action'] } = {}): void {
    const notice: Notice = { id: ++this.last, text, tone: options.tone ?? 'plain', action: options.action }
    this.shown = [...this.shown.slice(1 - MOST), notice]
    if (notice.tone === 'plain') setTimeout(() => this.close(notice.id), SHOWN_MS + (notice.action ? 4_000 : 0))
  }

  /** Tells why something did not work. A call that was given up on purpose is not told. */
  tellError(thrown: unknown): void {
    const error = errorOfThrown(thrown)
    if (error.code !== 'aborted') this.tell(error.message, { tone: 'bad' })
  }

  close(id: number): void {
    this.shown = this.shown.filter((one) => one.id !== id)
  }

  /** Says something to screen readers alone. */
  announce(text: string): void {
    this.announced = text
  }
}

export const notices = new Notices()

/** Runs a call of a button and tells its failure; returns its answer, or undefined where it failed. */
export async function attempt<T>(run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run()
  } catch (thrown) {
    notices.tellError(thrown)
    return undefined
  }
}
