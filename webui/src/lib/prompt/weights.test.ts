import { describe, expect, it } from 'vitest'
import { changeWeight } from './weights'

/** Writes the selection as `«…»`, or the cursor as `|`. */
function press(written: string, ...steps: (1 | -1)[]): string | null {
  let from = written.search(/[«‸]/)
  let text = written.replace(/[«‸]/, '')
  let to = text.indexOf('»') < 0 ? from : text.indexOf('»')
  text = text.replace('»', '')
  for (const step of steps) {
    const edit = changeWeight(text, from, to, step)
    if (!edit) return null
    text = text.slice(0, edit.start) + edit.text + text.slice(edit.end)
    from = edit.selectionStart
    to = edit.selectionEnd
  }
  return from === to
    ? `${text.slice(0, from)}‸${text.slice(from)}`
    : `${text.slice(0, from)}«${text.slice(from, to)}»${text.slice(to)}`
}

describe('changeWeight', () => {
  it('weighs the word under the cursor, step by step, and takes the brackets away at 1', () => {
    expect(press('a lighthouse at du‸sk', 1)).toBe('a lighthouse at («dusk»:1.1)')
    expect(press('a lighthouse at du‸sk', 1, 1)).toBe('a lighthouse at («dusk»:1.2)')
    expect(press('a du‸sk b', 1, -1)).toBe('a «dusk» b')
    expect(press('a du‸sk b', -1)).toBe('a («dusk»:0.9) b')
    expect(press('soft-focus‸, b', 1)).toBe('(«soft-focus»:1.1), b')
    expect(press('a __wea‸ther__', 1)).toBe('a («__weather__»:1.1)')
  })

  it('weighs a selection without the blanks around it', () => {
    expect(press('a« warm light »b', 1)).toBe('a («warm light»:1.1) b')
    expect(press('«(a) b»', 1)).toBe('(«(a) b»:1.1)')
  })

  it('weighs the bracket around the cursor, the innermost one', () => {
    expect(press('(a (b‸:1.2):0.8)', 1)).toBe('(a («b»:1.3):0.8)')
    expect(press('(a‸ (b:1.2):0.8)', 1)).toBe('(«a (b:1.2)»:0.9)')
    expect(press('(«warm light»:1.25)', 1)).toBe('(«warm light»:1.35)')
    expect(press('«(a:1.1)»', -1)).toBe('«a»')
    expect(press('(one «two» three:1.2)', 1)).toBe('(one («two»:1.1) three:1.2)')
  })

  it('takes brackets alone as a step', () => {
    expect(press('(a‸)', 1)).toBe('(«a»:1.2)')
    expect(press('(a‸)', -1)).toBe('«a»')
    expect(press('[a‸]', 1)).toBe('«a»')
    expect(press('[a‸]', -1)).toBe('(«a»:0.8)')
  })

  it('weighs a LoRA by smaller steps and keeps its tag', () => {
    expect(press('x <lora:fi‸lm:0.6>', 1)).toBe('x <lora:film:0.65‸>')
    expect(press('<lora:film‸>', -1, -1)).toBe('<lora:film:0.9‸>')
    expect(press('<lora:film:‸1:0.5>', 1)).toBe('<lora:film:1.05:0.5‸>')
    expect(press('<lora:film:0.0‸>', -1)).toBe('<lora:film:-0.05‸>')
    expect(press('(<lora:fi‸lm:0.95>:1.2)', 1)).toBe('(<lora:film:1‸>:1.2)')
  })

  it('weighs other tags and choices as a whole', () => {
    expect(press('<random:re‸d,blue>', 1)).toBe('(«<random:red,blue>»:1.1)')
    expect(press('{re‸d|blue}', -1)).toBe('(«{red|blue}»:0.9)')
  })

  it('stays within bounds, and does nothing where there is no word', () => {
    expect(press('(a‸:0.05)', -1)).toBe('(«a»:0)')
    expect(press('(a‸:10)', 1)).toBe('(«a»:10)')
    expect(press('a , ‸ , b', 1)).toBeNull()
    expect(press('‸', 1)).toBeNull()
  })
})
