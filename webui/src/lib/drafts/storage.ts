/** Keeps drafts in the browser's database: texts and pictures outlive a reload, a crash and a locked phone. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { Draft } from './draft'

interface Kept extends DBSchema {
  drafts: { key: string; value: { order: number; draft: Draft } }
  words: { key: string; value: string }
}

const NAME = 'sdcpp-rest'

export class DraftStorage {
  private opened: Promise<IDBPDatabase<Kept>> | null = null
  private readonly name: string

  constructor(name: string = NAME) {
    this.name = name
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
    const kept = await database.getAll('drafts')
    kept.sort((a, b) => a.order - b.order)
    return { drafts: kept.map((one) => one.draft), active: (await database.get('words', 'active')) ?? null }
  }

  async save(order: number, draft: Draft): Promise<void> {
    const writing = (await this.open()).transaction('drafts', 'readwrite')
    void writing.store.put({ order, draft }, draft.id).catch(() => undefined)
    // A page that is left does not live to see its writing committed by itself.
    writing.commit()
    await writing.done
  }

  async remove(id: string): Promise<void> {
    await (await this.open()).delete('drafts', id)
  }

  async saveActive(id: string): Promise<void> {
    await (await this.open()).put('words', id, 'active')
  }
}
