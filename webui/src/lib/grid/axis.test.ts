import { describe, expect, it } from 'vitest'
import { joinList, applyValue, makeCells, readAxis, readRange, splitList, type Axis, type AxisSpec } from './axis'

const numbers = (text: string, more: Partial<AxisSpec> = {}): AxisSpec => ({
  field: 'steps',
  kind: 'number',
  text,
  isWhole: true,
  minimum: 1,
  maximum: 100,
  ...more,
})

describe('values of an axis', () => {
  it('are a list, with quotes around commas', () => {
    expect(splitList(' a, "b, c" ,d ')).toEqual(['a', 'b, c', 'd'])
    expect(splitList('"say \\"no\\"", ""')).toEqual(['say "no"', ''])
    expect(splitList(' , ,')).toEqual([])
    expect(splitList('')).toEqual([])
  })

  it('are ranges with a step or a number of values', () => {
    expect(readRange('1-10 (+3)', true)).toEqual([1, 4, 7, 10])
    expect(readRange('0-1 [5]', false)).toEqual([0, 0.25, 0.5, 0.75, 1])
    expect(readRange('0.1 - 0.3', false)).toEqual([0.1, 0.2, 0.3])
    expect(readRange('-2--1', true)).toEqual([-2, -1])
    expect(readRange('1-4', false)).toEqual([1, 2, 3, 4])
    expect(readRange('5-5 [1]', true)).toEqual([5])
    expect(readRange('7', true)).toBeNull()
    expect(readRange('9-1', true)).toEqual({ code: 'backwards', value: '9-1' })
    expect(readRange('1-9 (+0)', true)).toEqual({ code: 'backwards', value: '1-9 (+0)' })
    expect(readRange('1-100000', true)).toEqual({ code: 'too-many', value: '1-100000' })
  })

  it('are told apart from what is none', () => {
    expect(readAxis(numbers('4, 8-10, 8')).values).toEqual([4, 8, 9, 10])
    const problems = [
      numbers(''),
      numbers('4, x'),
      numbers('1.5'),
      numbers('101'),
      numbers('9-2'),
      numbers(Array.from({ length: 201 }, (_, at) => (at % 100) + 1).join(',')),
    ].map((spec) => readAxis(spec).problem?.code)
    expect(problems).toEqual(['empty', 'not-a-number', 'not-whole', 'out-of-range', 'backwards', 'too-many'])
  })

  it('are choices by their own spelling', () => {
    const spec: AxisSpec = { field: 'sampler', kind: 'choice', text: 'Euler, DPM++2M', choices: ['euler', 'dpm++2m'] }
    expect(readAxis(spec).values).toEqual(['euler', 'dpm++2m'])
    expect(readAxis({ ...spec, text: 'ddim9' }).problem).toEqual({ code: 'unknown-choice', value: 'ddim9' })
  })

  it('are words of the prompt, the first of which stands there', () => {
    const spec: AxisSpec = { field: 'prompt', kind: 'replace', text: 'red, green, "sky blue"' }
    expect(readAxis(spec, 'a red star').values).toEqual(['red', 'green', 'sky blue'])
    expect(readAxis(spec, 'a star').problem).toEqual({ code: 'not-in-prompt', value: 'red' })
    expect(readAxis({ ...spec, text: 'red' }, 'a red star').problem?.code).toBe('one-word')
  })

  it('are weights of a LoRA, or on and off', () => {
    expect(readAxis({ field: 'ink', kind: 'lora', text: 'off, on, 0.5' }).values).toEqual([0, 1, 0.5])
  })
})

describe('models', () => {
  const choices = ['sd/real, v2.safetensors', 'demo.gguf', 'demo.safetensors']
  const read = (text: string): ReturnType<typeof readAxis> =>
    readAxis({ field: 'model_name', kind: 'model', text, choices })

  it('are named with or without folder and ending', () => {
    expect(read('DEMO.safetensors, demo').values).toEqual(['demo.safetensors', 'demo.gguf'])
    expect(read('nope').problem).toEqual({ code: 'unknown-choice', value: 'nope' })
  })
  it('are written so that they are read again', () => {
    expect(read(joinList(choices)).values).toEqual(choices)
    expect(joinList(['a', 'say "b"'])).toBe('a, "say \\"b\\""')
  })
})

describe('cells', () => {
  const axes: Axis[] = [
    { spec: numbers(''), values: [2, 4] },
    { spec: { field: 'sampler', kind: 'choice', text: '' }, values: ['euler', 'heun', 'lcm'] },
  ]

  it('are one request for each pair, with one seed and a place', () => {
    const cells = makeCells({ prompt: 'a star', batch_count: 4 }, axes, 'g1', 77)
    expect(cells).toHaveLength(6)
    expect(cells[4]).toEqual({
      at: [1, 1],
      body: {
        prompt: 'a star',
        seed: 77,
        batch_count: 1,
        steps: 4,
        sampler: 'heun',
        group: {
          id: 'g1',
          kind: 'grid',
          axes: [
            { field: 'steps', values: [2, 4] },
            { field: 'sampler', values: ['euler', 'heun', 'lcm'] },
          ],
          cell: [1, 1],
        },
      },
    })
    expect(makeCells({ prompt: 'a', seed: 5 }, axes.slice(0, 1), 'g', 77)[0]!.body.seed).toBe(5)
    expect(
      makeCells({ prompt: 'a', seed: 5 }, [{ spec: numbers('', { field: 'seed' }), values: [8] }], 'g', 77)[0]!.body
        .seed,
    ).toBe(8)
  })

  it('turn the model slowest, wherever its axis stands', () => {
    const model = { field: 'model_name', kind: 'model', text: '' } as const
    const cells = makeCells({ prompt: 'a' }, [axes[0]!, { spec: model, values: ['m1', 'm2'] }], 'g', 1)
    expect(cells.map(({ at }) => at)).toEqual([
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ])
    expect(cells.map(({ body }) => [body.model_name, body.steps])).toEqual([
      ['m1', 2],
      ['m1', 4],
      ['m2', 2],
      ['m2', 4],
    ])
  })

  it('change words and LoRAs of the prompt', () => {
    const replaced = applyValue(
      { prompt: 'a red star on red' },
      { spec: { field: 'prompt', kind: 'replace', text: '' }, values: ['red', 'blue'] },
      1,
    )
    expect(replaced.prompt).toBe('a blue star on blue')
    const lora: Axis = { spec: { field: 'ink.v2', kind: 'lora', text: '' }, values: [0, 0.5] }
    expect(applyValue({ prompt: 'a star <lora:ink.v2:1>' }, lora, 0).prompt).toBe('a star')
    expect(applyValue({ prompt: 'a star <lora:ink.v2:1>' }, lora, 1).prompt).toBe('a star <lora:ink.v2:0.5>')
    expect(makeCells({ prompt: 'x' }, [lora], 'g', 1)[0]!.body.group).toMatchObject({
      axes: [{ field: 'lora: ink.v2' }],
    })
  })
})
