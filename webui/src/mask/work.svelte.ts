/** Brings the mask of a draft into the editor and back: what is drawn is kept until it is used or thrown away. */
import { t } from '../lib/i18n'
import { isPadded, overlapOf, padMask, roundPadding } from '../lib/mask/padding'
import { encodeMask } from '../lib/mask/png'
import { makeMask, type Mask } from '../lib/mask/bitmap'
import { errorOfThrown } from '../lib/api/errors'
import type { Size } from '../lib/zoom'
import type { Picture } from '../lib/events/apply'
import { server } from '../state/server.svelte'
import type { PictureSource } from '../lib/drafts/draft'
import { isSameSource } from '../lib/drafts/input_name'
import { desk } from '../state/desk.svelte'
import { drafts } from '../state/drafts.svelte'
import { notices } from '../state/notices.svelte'
import { canvasLimits } from './limits.svelte'
import { saveFile } from '../ui/save'
import { extendPicture, openPicture, readMask, type Opened } from './pictures'
import { MaskSession } from './session.svelte'
import { sourceHistory } from './source_history.svelte'

class MaskWork {
  session = $state.raw<MaskSession | null>(null)
  picture = $state.raw<Opened | null>(null)
  problem = $state('')
  /** A line in the editor: what lies below a dialog is not seen. */
  told = $state('')
  isBusy = $state(false)
  /** A session that was left without being used; it goes on if the same picture is opened again. */
  private left: MaskSession | null = null
  /** Counts what was opened: a picture that comes after the editor was closed is let go. */
  private turn = 0

  /** Opens the start picture of the active draft with its mask. */
  async open(): Promise<void> {
    this.close()
    this.problem = ''
    this.told = ''
    const turn = ++this.turn
    const { id, inputs } = drafts.active
    const source = $state.snapshot(inputs.init) as PictureSource | undefined
    if (!source) return
    try {
      const picture = await openPicture(source)
      const size = { width: picture.image.naturalWidth, height: picture.image.naturalHeight }
      const kept = this.left?.draftId === id && isSameSource(this.left.source, source) ? this.left : null
      const given = $state.snapshot(inputs.mask) as PictureSource | undefined
      // A mask that cannot be read any more must not keep one from drawing a new one.
      const mask = kept || !given ? makeMask(size.width, size.height) : await this.readGiven(given, size)
      if (turn !== this.turn) return picture.close()
      this.picture = picture
      this.session = kept ?? new MaskSession(id, source, mask)
    } catch {
      this.problem = t.mask.noPicture
    }
  }

  private async readGiven(given: PictureSource, size: Size): Promise<Mask> {
    try {
      return await readMask(given, size)
    } catch {
      this.told = t.mask.unreadable(given.from === 'file' ? given.name : t.mask.file)
      return makeMask(size.width, size.height)
    }
  }

  /** Frees the picture. */
  close(): void {
    this.turn++
    this.picture?.close()
    this.picture = null
    this.session = null
  }

  /** Closes the editor; what was drawn since can be gone back to. */
  leave(): void {
    const { session } = this
    desk.editsMask = false
    this.left = session?.isChanged ? session : null
    if (this.left) notices.tell(t.mask.notUsed, { action: { label: t.mask.goOn, run: () => (desk.editsMask = true) } })
  }

  /** Writes the mask (and the extended picture) into the draft and closes the editor. */
  async use(): Promise<void> {
    const { session, picture } = this
    if (!session || !picture || this.isBusy) return
    if (session.isEmpty && !session.isPadded) {
      this.told = t.mask.usedEmpty
      return
    }
    this.isBusy = true
    try {
      const size = { width: session.mask.width, height: session.mask.height }
      const padding = roundPadding(size, session.padding, canvasLimits.step, canvasLimits.largest)
      const isExtended = isPadded(padding)
      const mask = isExtended ? padMask(session.mask, padding, overlapOf(size)) : session.mask
      const [file, extended] = await Promise.all([
        encodeMask(mask),
        isExtended ? extendPicture(picture.image, padding) : null,
      ])
      const whole = { width: mask.width, height: mask.height }
      if (extended) sourceHistory.keep()
      drafts.change((draft) => {
        if (extended) draft.inputs.init = { from: 'file', blob: extended, name: t.mask.extendedFile, ...whole }
        draft.inputs.mask = { from: 'file', blob: file, name: t.mask.file, ...whole }
      })
      drafts.setMode('inpaint')
      if (extended) {
        drafts.set('width', whole.width)
        drafts.set('height', whole.height)
      }
      this.left = null
      notices.announce(t.mask.used)
      desk.editsMask = false
    } catch (thrown) {
      this.told = errorOfThrown(thrown).message
    }
    this.isBusy = false
  }

  /** What the active draft has drawn lately, newest first. */
  readonly results = $derived.by((): Picture[] => {
    const jobs = new Set(drafts.started[drafts.activeId] ?? [])
    return server.latest.filter((one) => one.kind === 'image' && one.job_id && jobs.has(one.job_id)).slice(0, 4)
  })

  /** Goes on from a result as the start picture. */
  async accept(picture: Picture): Promise<void> {
    sourceHistory.accept(picture)
    this.left = null
    await this.open()
    this.told = t.mask.accepted
  }

  async stepBack(): Promise<void> {
    if (!sourceHistory.stepBack()) return
    this.left = null
    await this.open()
    this.told = t.mask.steppedBack
  }

  async save(): Promise<void> {
    const { session } = this
    if (session) saveFile(await encodeMask(session.mask), t.mask.file)
  }

  /** Takes a picture file as the mask; it is stretched to the picture's size. */
  async load(file: File): Promise<void> {
    const { session } = this
    if (!session) return
    try {
      session.replace((await readMask({ from: 'file', blob: file, name: file.name }, session.mask)).bits)
    } catch {
      this.told = t.mask.unreadable(file.name)
    }
  }
}

export const maskWork = new MaskWork()
