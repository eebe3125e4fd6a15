/** Changes the text of a field so that the browser's own undo knows of it: Ctrl+Z goes back through everything. */
import type { Edit } from '../lib/prompt/weights'

export class Editor {
  element: HTMLTextAreaElement | null = null
  /** Whether the change that is heard of now was made here, not typed. */
  isChanging = false

  get text(): string {
    return this.element?.value ?? ''
  }

  apply(edit: Edit | null): void {
    const { element } = this
    if (!edit || !element) return
    this.isChanging = true
    element.focus({ preventScroll: true })
    element.setSelectionRange(edit.start, edit.end)
    // The old command is the only one that the browser's undo knows.
    const isDone =
      element.value.slice(edit.start, edit.end) === edit.text ||
      (edit.text ? document.execCommand('insertText', false, edit.text) : document.execCommand('delete', false))
    if (!isDone) {
      element.setRangeText(edit.text, edit.start, edit.end, 'end')
      element.dispatchEvent(new Event('input', { bubbles: true }))
    }
    element.setSelectionRange(edit.selectionStart, edit.selectionEnd)
    this.isChanging = false
  }

  /** Replaces all of the text and puts the cursor behind it. */
  replaceAll(text: string): void {
    this.apply({
      start: 0,
      end: this.text.length,
      text,
      selectionStart: text.length,
      selectionEnd: text.length,
    })
  }

  focus(): void {
    this.element?.focus()
  }
}
