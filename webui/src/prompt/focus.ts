/** Lets every place of the page put the cursor into the prompt. */
let focusField: (() => void) | null = null

/** Names what has the cursor put there; returns what takes that back. */
export function offerFocus(focus: () => void): () => void {
  focusField = focus
  return () => {
    if (focusField === focus) focusField = null
  }
}

/** Puts the cursor into the prompt; returns whether there is one on the page. */
export function focusPrompt(): boolean {
  focusField?.()
  return focusField !== null
}
