import { expect, it } from 'vitest'
import { FIRST_SETTINGS, listFacts } from './facts'

it('lists what says something, the important first', () => {
  const told = {
    zeta: false,
    steps: 4,
    seed: 0,
    prompt: 'apart',
    empty: '',
    none: null,
    nothing: [],
    hollow: {},
    loras: [{ name: 'a', weight: 1 }],
    sizes: [1, 2],
    model: { name: 'base', hash: '' },
    tree: { a: { b: 1 } },
  }
  expect(listFacts(told, FIRST_SETTINGS)).toEqual([
    { name: 'seed', value: '0' },
    { name: 'steps', value: '4' },
    { name: 'model', value: 'base' },
    { name: 'loras', value: 'a 1' },
    { name: 'sizes', value: '1, 2' },
    { name: 'tree', value: '{ "a": { "b": 1 } }' },
    { name: 'zeta', value: 'false' },
  ])
})

it('cuts what is endless', () => {
  expect(listFacts({ a: 'x'.repeat(9000) })[0]!.value).toHaveLength(4001)
})
