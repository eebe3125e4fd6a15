import 'fake-indexeddb/auto'
import { describe, expect, it, vi } from 'vitest'
import type { Schemas } from '../api/client'
import { buildRequest, defaultOf, isList, makeDraft, nameOf, sendPicture, sourcesOf, valueOf } from './draft'
import { DraftStorage } from './storage'

const options = {
  options: {
    prompt: { modes: ['txt2img', 'img2img', 'txt2vid'] },
    steps: { default: 20, mode_defaults: { txt2vid: 30 }, modes: ['txt2img', 'img2img', 'txt2vid'] },
    strength: { default: 0.75, modes: ['img2img', 'txt2vid'] },
  },
} as unknown as Schemas['GenerationOptions']
const preset = { generationDefaults: { steps: 12 } } as unknown as Schemas['PresetShown']
const encode = (blob: Blob): Promise<string> => Promise.resolve(`base64 of ${blob.size}`)

describe('a draft', () => {
  it('knows a field’s value: chosen, the family’s, the mode’s, the server’s', () => {
    const draft = makeDraft('a')
    expect(valueOf(draft, 'steps', options, preset)).toBe(12)
    expect(defaultOf('steps', 'txt2vid', options, null)).toBe(30)
    expect(defaultOf('steps', 'txt2img', options, null)).toBe(20)
    expect(defaultOf('nothing', 'txt2img', null, null)).toBeUndefined()
    draft.values.steps = 3
    expect(valueOf(draft, 'steps', options, preset)).toBe(3)
  })

  it('sends what was changed, as far as the mode knows it', async () => {
    const draft = makeDraft('a')
    draft.values = { prompt: 'a star', strength: 0.3, steps: null }
    draft.inputs.init = { from: 'output', path: 'j/a.png' }
    expect(await buildRequest(draft, options, encode)).toEqual({ kind: 'txt2img', body: { prompt: 'a star' } })
    draft.mode = 'inpaint'
    draft.inputs.mask = { from: 'file', blob: new Blob(['1234']), name: 'm.png' }
    draft.inputs.references = [{ from: 'input', jobId: 'j', role: 'init_image' }]
    expect(await buildRequest(draft, options, encode)).toEqual({
      kind: 'img2img',
      body: {
        prompt: 'a star',
        strength: 0.3,
        init_image_base64: { output: 'j/a.png' },
        mask_image_base64: 'base64 of 4',
        ref_images: [{ input: 'j/init_image' }],
      },
    })
    expect(await sendPicture({ from: 'file', blob: new Blob(['12']), name: '' }, encode)).toBe('base64 of 2')
  })

  it('sends faces with pictures and frames with videos, each in its order', async () => {
    const draft = makeDraft('a')
    const of = (path: string) => ({ from: 'output', path }) as const
    draft.inputs = { references: [], faces: [of('a'), of('b')], frames: [of('c')] }
    expect((await buildRequest(draft, options, encode)).body).toEqual({
      prompt: '',
      pm_id_images: [{ output: 'a' }, { output: 'b' }],
    })
    draft.mode = 'video'
    expect((await buildRequest(draft, options, encode)).body).toEqual({
      prompt: '',
      control_frames: [{ output: 'c' }],
    })
    expect(sourcesOf(draft.inputs, 'init')).toEqual([])
    expect(isList('control')).toBe(false)
  })

  it('has its prompt’s beginning for a name', () => {
    const draft = makeDraft('a')
    expect(nameOf(draft, 'New')).toBe('New')
    draft.values.prompt = '  a lighthouse on a basalt cliff at dusk, long exposure '
    expect(nameOf(draft, 'New')).toBe('a lighthouse on a basalt cliff at dusk, ')
    draft.name = 'Mine'
    expect(nameOf(draft, 'New')).toBe('Mine')
  })

  it('outlives the page, with its order', async () => {
    const storage = new DraftStorage('test')
    await storage.save(1, makeDraft('b'))
    await storage.save(0, makeDraft('a', 'video'))
    await storage.saveActive('b')
    const again = await new DraftStorage('test').load()
    expect(again.drafts.map((one) => [one.id, one.mode])).toEqual([
      ['a', 'video'],
      ['b', 'text'],
    ])
    expect(again.active).toBe('b')
    await storage.remove('a')
    expect((await storage.load()).drafts).toHaveLength(1)
  })

  it('outlives a page that is left before the database has it', async () => {
    const left = new Map<string, string>()
    const shelf = {
      getItem: (key: string) => left.get(key) ?? null,
      setItem: (key: string, value: string) => void left.set(key, value),
      removeItem: (key: string) => void left.delete(key),
    }
    const file = { from: 'file', blob: new Blob(['1234']), name: 'm.png' } as const
    const before = new DraftStorage('left', shelf)
    const [old, fresh, lost] = [makeDraft('old'), makeDraft('fresh'), makeDraft('lost')]
    old.inputs.init = file
    await before.save(0, old)
    // A database that does not come to it any more.
    const leaving = new DraftStorage('left', shelf)
    vi.spyOn(leaving, 'save').mockReturnValue(new Promise(() => undefined))
    leaving.saveAtEnd(0, { ...old, values: { prompt: 'typed last' } })
    leaving.saveAtEnd(2, { ...fresh, inputs: { references: [{ from: 'output', path: 'a.png' }] } })
    leaving.saveAtEnd(1, { ...lost, inputs: { references: [file] } })
    void leaving.saveActive('fresh')
    const after = await new DraftStorage('left', shelf).load()
    expect(after.active).toBe('fresh')
    expect(after.drafts.map((one) => [one.id, one.values.prompt, one.inputs])).toEqual([
      ['old', 'typed last', { references: [], init: file }],
      ['lost', undefined, { references: [] }],
      ['fresh', undefined, { references: [{ from: 'output', path: 'a.png' }] }],
    ])
    expect(left.has('left.drafts.left')).toBe(false)
    expect((await new DraftStorage('left', shelf).load()).drafts).toEqual(after.drafts)
  })

  it('is kept in the database alone where nothing can be noted', async () => {
    const refuse = (): never => {
      throw new Error('full')
    }
    const storage = new DraftStorage('full', { getItem: () => '{', setItem: refuse, removeItem: refuse })
    storage.saveAtEnd(0, makeDraft('a'))
    await storage.saveActive('a')
    expect((await new DraftStorage('full', undefined).load()).drafts).toHaveLength(1)
  })
})
