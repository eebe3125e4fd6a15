/** Takes files in: refuses in words what cannot be used, and hands the rest to the sheet that asks what to do. */
import { refuseFile } from '../lib/drop/classify'
import { formatBytes } from '../lib/format'
import { t } from '../lib/i18n'
import { desk } from '../state/desk.svelte'
import { notices } from '../state/notices.svelte'
import { server } from '../state/server.svelte'

/** What a request may hold: base64 takes a third more than the file. */
export function largestFile(): number {
  return Math.floor(((server.limits.body_bytes ?? 64 * 1024 * 1024) * 3) / 4)
}

export function takeFiles(files: readonly File[]): void {
  const good = files.filter((file) => {
    const refusal = refuseFile(file, largestFile())
    if (refusal === 'unsupported') notices.tell(t.drop.unsupported(file.name), { tone: 'bad' })
    if (refusal === 'empty') notices.tell(t.drop.empty(file.name), { tone: 'bad' })
    if (refusal === 'too-large')
      notices.tell(t.drop.tooLarge(file.name, formatBytes(file.size), formatBytes(largestFile())), { tone: 'bad' })
    return refusal === null
  })
  if (good.length > 0) desk.dropped = good
}

/** Opens the browser's choice of files: the way in for keyboards and phones. */
export function chooseFiles(): void {
  const input = document.createElement('input')
  input.type = 'file'
  input.multiple = true
  input.onchange = () => takeFiles([...(input.files ?? [])])
  input.click()
}
