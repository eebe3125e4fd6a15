/** Reads what dropped files tell, and does with them what was chosen. */
import { PictureRefused, readPicture } from './picture_file'
import { classifyFile } from '../lib/drop/classify'
import { chooseValues, modeOf, type ReadSettings, type RestoreRow } from '../lib/drop/restore'
import type { Mode, PictureSource } from '../lib/drafts/draft'
import { t } from '../lib/i18n'
import { library } from '../prompt/library.svelte'
import { desk } from '../state/desk.svelte'
import { drafts } from '../state/drafts.svelte'
import { putInput } from '../state/inputs.svelte'
import { attempt, notices } from '../state/notices.svelte'
import { linkTo, router } from '../state/router.svelte'
import { server } from '../state/server.svelte'

/** Reads a picture file; tells what is wrong with it, and returns null then. */
export async function sourceOfFile(file: File): Promise<PictureSource | null> {
  try {
    return await readPicture(file)
  } catch (thrown) {
    const words = thrown instanceof PictureRefused ? thrown.message : t.generate.pictureProblems.broken
    notices.tell(t.drop.refused(file.name, words), { tone: 'bad' })
    return null
  }
}

/** Puts pictures into the active draft and shows it. Several become references, in their order. */
export async function usePictures(
  files: readonly File[],
  as: 'init' | 'mask' | 'control' | 'references' | 'upscale',
): Promise<void> {
  const sources = (await Promise.all(files.map(sourceOfFile))).filter((one) => one !== null)
  const first = sources[0]
  if (!first) return
  desk.dropped = []
  if (as === 'upscale') {
    desk.upscaleSource = first
    router.goTo('upscale')
    return
  }
  for (const source of as === 'references' ? sources : [first]) putInput(as, source)
  const { mode } = drafts.active
  if (as === 'references' && server.preset?.takes_reference_images) drafts.setMode('edit')
  if (as === 'init' && mode !== 'inpaint' && mode !== 'video') drafts.setMode('image')
  if (as === 'mask') drafts.setMode('inpaint')
  router.goTo('generate')
}

/** Takes the chosen settings into the active draft, or into a new one. */
export function restoreSettings(
  read: ReadSettings,
  rows: readonly RestoreRow[],
  chosen: ReadonlySet<string>,
  inNewDraft: boolean,
): void {
  const values = chooseValues(rows, chosen)
  const mode: Mode = modeOf(read)
  desk.dropped = []
  if (inNewDraft) drafts.open({ mode, values, keepsSeed: 'seed' in values })
  else {
    const bringBack = drafts.remember('mode', 'values', 'keepsSeed')
    drafts.change((draft) => {
      draft.mode = mode
      // The chosen model has drawn it: another one that the draft named is not meant any more.
      if (read.matches.model === server.model) delete draft.values.model_name
      draft.values = { ...draft.values, ...values }
      draft.keepsSeed = 'seed' in values || draft.keepsSeed
    })
    notices.tell(t.drop.restored, {
      action: { label: t.common.undo, run: bringBack },
    })
  }
  router.goTo('generate')
}

/** Takes over the styles of a file; those that are here already stay as they are. */
export async function importStyles(file: File): Promise<void> {
  desk.dropped = []
  const told = await attempt(async () => library.importStyles(await file.text()))
  if (told) notices.tell(t.prompt.imported(told.imported.length, told.skipped.length))
}

/** Hands model files to the Models page. */
export function uploadModels(files: readonly File[]): void {
  desk.dropped = []
  desk.uploads = [...files]
  router.goTo(linkTo('models', '', { add: 'file' }))
}

/** Groups the dropped files by what can be done with them. */
export function groupFiles(files: readonly File[]): Record<'pictures' | 'videos' | 'models' | 'styles', File[]> {
  const of = (kind: string): File[] => files.filter((file) => classifyFile(file) === kind)
  return { pictures: of('picture'), videos: of('video'), models: of('model'), styles: of('styles') }
}
