import { describe, expect, it } from 'vitest'
import { isEditable, isReading, listParameters, pageOfView, type Action } from './actions'
import { EventReader } from './events'

describe('the stream', () => {
  it('is read in pieces of any size', () => {
    const text = 'event: delta\ndata: {"text":"Hel"}\n\n: thinking\n\nevent: done\r\ndata: {"message":"a\\nb"}\r\n\r\n'
    for (const size of [1, 3, 7, 100]) {
      const reader = new EventReader()
      const events = Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
        reader.read(text.slice(at * size, (at + 1) * size)),
      ).flat()
      expect(events.filter((one) => one.name === 'delta')).toEqual([{ name: 'delta', data: { text: 'Hel' } }])
    }
    expect(new EventReader().read(text)).toHaveLength(2)
  })

  it('is read past what cannot be read', () => {
    expect(new EventReader().read('data: {broken\n\nevent: x\n\ndata: 1\n\n')).toEqual([{ name: 'message', data: 1 }])
  })
})

describe('actions', () => {
  const action = (type: string, parameters: Record<string, unknown> = {}): Action => ({ type, parameters })

  it('are told apart by what they do', () => {
    expect([
      isReading(action('search_models')),
      isReading(action('generate')),
      isReading(action('cancel_job')),
    ]).toEqual([true, false, false])
    expect([isEditable(action('generate')), isEditable(action('unload_model'))]).toEqual([true, false])
    expect([pageOfView('downloads'), pageOfView('nowhere')]).toEqual(['queue', 'generate'])
  })

  it('show all that they would send', () => {
    expect(listParameters(action('generate', { prompt: '<b>a</b>', steps: 4 }))).toEqual([
      { name: 'prompt', value: '<b>a</b>' },
      { name: 'steps', value: '4' },
    ])
  })
})
