/** Knows the keyboard shortcuts: which keys run what, and what the help says of them. */

export interface Shortcut {
  /** `Ctrl+Enter`, `Ctrl+Shift+Enter`, `/`, `?`, `g q` (one after the other), `ArrowLeft`. Ctrl is Cmd on a Mac. */
  keys: string
  label: () => string
  run: (event: KeyboardEvent) => void
  /** Whether it is at work now. */
  when?: () => boolean
}

const SEQUENCE_MS = 1_200

/** Writes what was pressed as shortcuts are written. */
export function readKeys(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey'>): string {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
  const isSign = event.key.length === 1 && !/[a-z0-9]/i.test(event.key)
  // A sign says Shift by itself ("?"); a letter or a named key does not.
  return [
    event.ctrlKey || event.metaKey ? 'Ctrl' : '',
    event.altKey ? 'Alt' : '',
    event.shiftKey && !isSign ? 'Shift' : '',
    key,
  ]
    .filter(Boolean)
    .join('+')
}

/** Whether what has the focus takes letters. */
export function takesText(target: EventTarget | null): boolean {
  if (typeof HTMLElement === 'undefined' || !(target instanceof HTMLElement)) return false
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement)
    return true
  return (
    target instanceof HTMLInputElement &&
    !['checkbox', 'radio', 'button', 'submit', 'reset', 'file', 'color'].includes(target.type)
  )
}

export class Shortcuts {
  private readonly all: Shortcut[] = []
  private pending = ''
  private pendingSince = 0

  /** Adds shortcuts; returns what removes them. A later one wins over an earlier one with the same keys. */
  add(...shortcuts: Shortcut[]): () => void {
    this.all.unshift(...shortcuts)
    return () => {
      for (const one of shortcuts) {
        const at = this.all.indexOf(one)
        if (at >= 0) this.all.splice(at, 1)
      }
    }
  }

  /** Lists what is at work now, the first of each key. */
  list(): Shortcut[] {
    const seen = new Set<string>()
    return this.all.filter((one) => (one.when?.() ?? true) && !seen.has(one.keys) && seen.add(one.keys))
  }

  /** Runs what was pressed; none fires while somebody types, unless with Ctrl. Returns whether one did. */
  press(event: KeyboardEvent, now: number = Date.now()): boolean {
    if (event.isComposing || event.defaultPrevented) return false
    const pressed = readKeys(event)
    if (!pressed.startsWith('Ctrl+') && takesText(event.target)) return false
    const sequence = this.pending && now - this.pendingSince < SEQUENCE_MS ? `${this.pending} ${pressed}` : ''
    this.pending = ''
    const found = this.find(sequence) ?? this.find(pressed)
    if (found) {
      event.preventDefault()
      found.run(event)
      return true
    }
    if (this.all.some((one) => one.keys.startsWith(`${pressed} `) && (one.when?.() ?? true))) {
      this.pending = pressed
      this.pendingSince = now
    }
    return false
  }

  private find(keys: string): Shortcut | undefined {
    return keys ? this.all.find((one) => one.keys === keys && (one.when?.() ?? true)) : undefined
  }
}

export const shortcuts = new Shortcuts()
