/** The keys of the mask editor, and what each of them does. */
import { t } from '../lib/i18n'
import type { Shortcut } from '../lib/keys'
import { TOOLS, type MaskSession, type Tool } from './session.svelte'

export const TOOL_KEYS: Record<Tool, string> = {
  brush: 'b',
  eraser: 'e',
  rectangle: 'r',
  lasso: 'l',
  fill: 'f',
  extend: 'x',
}

export interface Doings {
  session: () => MaskSession | null
  /** Moves the cursor of the keys by so many pixels of the screen, or by single ones of the picture. */
  moveCursor: (dx: number, dy: number, isFine: boolean) => void
  togglePanel: () => void
  use: () => void
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] } as const

/** Makes the shortcuts of the editor. `isOnPicture`: whether the focus is where one draws, so that arrows move the cursor. */
export function makeShortcuts(doings: Doings, isOnPicture: () => boolean): Shortcut[] {
  const run = (what: (session: MaskSession) => void) => (): void => {
    const session = doings.session()
    if (session) what(session)
  }
  return [
    ...TOOLS.map((tool) => ({
      keys: TOOL_KEYS[tool],
      label: () => t.mask.tool[tool],
      run: run((session) => session.choose(tool)),
    })),
    { keys: '[', label: () => t.mask.smaller, run: run((session) => session.resize(false)) },
    { keys: ']', label: () => t.mask.larger, run: run((session) => session.resize(true)) },
    { keys: 'Ctrl+z', label: () => t.mask.undo, run: run((session) => session.undo()) },
    { keys: 'Ctrl+Shift+z', label: () => t.mask.redo, run: run((session) => session.redo()) },
    { keys: 'i', label: () => t.mask.invert, run: run((session) => session.invert()) },
    { keys: 'Delete', label: () => t.mask.clear, run: run((session) => session.clear()) },
    { keys: 'o', label: () => t.mask.options, run: doings.togglePanel },
    { keys: 'Ctrl+Enter', label: () => t.mask.use, run: doings.use },
    ...Object.entries(ARROWS).flatMap(([key, [x, y]]) => [
      {
        keys: key,
        label: () => t.mask.keyMove[key as keyof typeof ARROWS],
        run: () => doings.moveCursor(x, y, false),
        when: isOnPicture,
      },
      {
        keys: `Shift+${key}`,
        label: () => t.mask.keyMoveFine[key as keyof typeof ARROWS],
        run: () => doings.moveCursor(x, y, true),
        when: isOnPicture,
      },
    ]),
    { keys: 'Enter', label: () => t.mask.keyStamp, run: run((session) => session.stamp()), when: isOnPicture },
    { keys: 'Shift+Enter', label: () => t.mask.keyLine, run: run((session) => session.stamp(true)), when: isOnPicture },
    { keys: ' ', label: () => t.mask.keySpace, run: () => undefined, when: isOnPicture },
  ]
}
