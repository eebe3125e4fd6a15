/** Puts things on the clipboard, also where the page came over plain http, which has no clipboard of its own. */
import { t } from '../lib/i18n'
import { notices } from '../state/notices.svelte'

/** Resolves to whether it worked. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyBySelection(text)
  }
}

/** Copies a text and says so. */
export async function copyAndTell(text: string): Promise<void> {
  if (await copyText(text)) notices.tell(t.common.copied)
  else notices.tell(t.pictures.notCopied, { tone: 'bad' })
}

function copyBySelection(text: string): boolean {
  const field = document.createElement('textarea')
  field.value = text
  field.setAttribute('readonly', '')
  field.style.setProperty('position', 'fixed')
  field.style.setProperty('opacity', '0')
  // Inside an open dialog nothing outside of it can be selected.
  const place = document.querySelector('dialog[open]') ?? document.body
  const focused = document.activeElement as HTMLElement | null
  place.append(field)
  field.select()
  const worked = document.execCommand('copy')
  field.remove()
  focused?.focus()
  return worked
}

export function canCopyPictures(): boolean {
  return typeof ClipboardItem !== 'undefined' && navigator.clipboard !== undefined
}

/** Copies a picture, as the PNG that clipboards take. */
export async function copyPicture(read: () => Promise<Blob>): Promise<void> {
  // The promise is handed over as it is: browsers allow the clipboard only within the click.
  await navigator.clipboard.write([new ClipboardItem({ 'image/png': read().then(makePng) })])
}

async function makePng(blob: Blob): Promise<Blob> {
  if (blob.type === 'image/png') return blob
  const bitmap = await createImageBitmap(blob)
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height)
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0)
  return canvas.convertToBlob({ type: 'image/png' })
}
