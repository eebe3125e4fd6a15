import { describe, expect, it, vi } from 'vitest'
import { readKeys, Shortcuts, takesText } from './keys'

const pressed = (key: string, more: Partial<KeyboardEvent> = {}): KeyboardEvent =>
  ({
    key,
    ctrlKey: false,
    metaKey: false,
    altKey: false,
    shiftKey: false,
    isComposing: false,
    defaultPrevented: false,
    target: null,
    preventDefault: vi.fn(),
    ...more,
  }) as unknown as KeyboardEvent

describe('shortcuts', () => {
  it('reads keys as they are written', () => {
    expect(readKeys(pressed('Enter', { ctrlKey: true, shiftKey: true }))).toBe('Ctrl+Shift+Enter')
    expect(readKeys(pressed('Enter', { metaKey: true, altKey: true }))).toBe('Ctrl+Alt+Enter')
    expect(readKeys(pressed('?', { shiftKey: true }))).toBe('?')
    expect(readKeys(pressed('R', { shiftKey: true }))).toBe('Shift+r')
  })

  it('runs one key, a sequence, and the later of two', () => {
    const keys = new Shortcuts()
    const ran: string[] = []
    const add = (name: string, combination: string, when?: () => boolean) =>
      keys.add({ keys: combination, label: () => name, run: () => ran.push(name), when })
    add('star', 's')
    add('settings', 'g s')
    const remove = add('other star', 's')
    expect(keys.press(pressed('s'))).toBe(true)
    remove()
    keys.press(pressed('s'))
    expect(keys.press(pressed('g'), 0)).toBe(false)
    keys.press(pressed('s'), 100)
    keys.press(pressed('g'), 1000)
    keys.press(pressed('s'), 5000)
    expect(ran).toEqual(['other star', 'star', 'settings', 'star'])
    add('never', 'x', () => false)
    expect(keys.press(pressed('x'))).toBe(false)
    expect(keys.list().map((one) => one.label())).toEqual(['settings', 'star'])
  })

  it('leaves typing alone, unless with Ctrl', () => {
    class FakeInput {
      isContentEditable = true
    }
    vi.stubGlobal('HTMLElement', FakeInput)
    vi.stubGlobal('HTMLTextAreaElement', class {})
    vi.stubGlobal('HTMLSelectElement', class {})
    const target = new FakeInput() as unknown as EventTarget
    expect(takesText(target)).toBe(true)
    const keys = new Shortcuts()
    const run = vi.fn()
    keys.add({ keys: 's', label: () => '', run }, { keys: 'Ctrl+Enter', label: () => '', run })
    expect(keys.press(pressed('s', { target }))).toBe(false)
    expect(keys.press(pressed('Enter', { target, ctrlKey: true }))).toBe(true)
    expect(keys.press(pressed('Enter', { ctrlKey: true, isComposing: true }))).toBe(false)
    vi.unstubAllGlobals()
    expect(takesText(null)).toBe(false)
  })
})
