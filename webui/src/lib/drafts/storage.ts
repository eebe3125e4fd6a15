/** Keeps drafts in the browser's database: texts and pictures outlive a reload, a crash and a locked phone. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import { makeDraft, sourcesOf, type Draft, type DraftInputs } from './draft'

interface Kept extends DBSchema {
  drafts: { key: string; value: { order: number; draft: Draft } }
  words: { key: string; value: string }
}

const NAME = 'sdcpp-rest'
const ACTIVE = 'active'

type Shelf = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>

/** A draft as a page that is left can note it: at once, and so as text. `inputs` is missing where files are among them. */
type Note = { order: number; draft: Omit<Draft, 'inputs'> & { inputs?: DraftInputs } }

/** Where text is kept at once; nowhere where the browser forbids a page to keep anything. */
function findShelf(): Shelf | undefined {
  try {
    return globalThis.localStorage
  } catch {
    return undefined
  }
}

export class DraftStorage {
  private opened: Promise<IDBPDatabase<Kept>> | null = null
  private readonly name: string
  private readonly shelf: Shelf | undefined

  constructor(name: string = NAME, shelf: Shelf | undefined = findShelf()) {
    this.name = name
    this.shelf = shelf
  }

  private open(): Promise<IDBPDatabase<Kept>> {
    this.opened ??= openDB<Kept>(this.name, 1, {
      upgrade(database) {
        database.createObjectStore('drafts')
        database.createObjectStore('words')
      },
    })
    return this.opened
  }

  /** Reads all drafts in their order, and the id of the one that was shown last. */
  async load(): Promise<{ drafts: Draft[]; active: string | null }> {
    const database = await this.open()
    const kept = new Map((await database.getAll('drafts')).map((one) => [one.draft.id, one]))
    for (const { order, draft } of Object.values(this.notes())) {
      const inputs = draft.inputs ?? kept.get(draft.id)?.draft.inputs ?? makeDraft('').inputs
      kept.set(draft.id, { order, draft: { ...draft, inputs } })
      await this.save(order, { ...draft, inputs })
    }
    const drafts = [...kept.values()].sort((a, b) => a.order - b.order).map((one) => one.draft)
    return { drafts, active: this.shelf?.getItem(this.key(ACTIVE)) ?? (await database.get('words', ACTIVE)) ?? null }
  }

  async save(order: number, draft: Draft): Promise<void> {
    await (await this.open()).put('drafts', { order, draft }, draft.id)
    this.note(draft.id, null)
  }

  /**
   * Saves a draft of a page that is being left: nothing that takes a turn of the browser's is sure to happen any more,
   * so it is noted where that is done at once, and the next page puts it into the database.
   */
  saveAtEnd(order: number, draft: Draft): void {
    const hasFiles = Object.keys(draft.inputs).some((role) =>
      sourcesOf(draft.inputs, role as keyof DraftInputs).some((source) => source.from === 'file'),
    )
    this.note(draft.id, { order, draft: hasFiles ? { ...draft, inputs: undefined } : draft })
    void this.save(order, draft).catch(() => undefined)
  }

  async remove(id: string): Promise<void> {
    this.note(id, null)
    await (await this.open()).delete('drafts', id)
  }

  async saveActive(id: string): Promise<void> {
    try {
      if (this.shelf) {
        this.shelf.setItem(this.key(ACTIVE), id)
        return
      }
    } catch {
      // Full or forbidden: the database has it a moment later.
    }
    await (await this.open()).put('words', id, ACTIVE)
  }

  private key(what: string): string {
    return `${this.name}.drafts.${what}`
  }

  private notes(): Record<string, Note> {
    try {
      return JSON.parse(this.shelf?.getItem(this.key('left')) ?? '{}') as Record<string, Note>
    } catch {
      return {}
    }
  }

  private note(id: string, note: Note | null): void {
    const notes = this.notes()
    if (!note && !(id in notes)) return
    if (note) notes[id] = note
    else delete notes[id]
    try {
      if (Object.keys(notes).length > 0) this.shelf?.setItem(this.key('left'), JSON.stringify(notes))
      else this.shelf?.removeItem(this.key('left'))
    } catch {
      // Full or forbidden: what the database gets in time is kept.
    }
  }
}
