/** What lies on the desk: which picture is looked at, and what was opened over the pages. One place, so that every page can open it. */
import type { Picture } from '../lib/events/apply'
import type { PictureSource } from '../lib/drafts/draft'

/** So many pictures are compared at most. */
export const MOST_COMPARED = 4

class Desk {
  /** The picture that the user chose on the stage; null: the stage follows what is drawn. */
  chosen = $state<Picture | null>(null)
  /** Pictures that are compared (2 to 4); empty: none. */
  compared = $state<Picture[]>([])
  /** A picture that is compared with the start picture it was drawn from. */
  comparedWithStart = $state<Picture | null>(null)
  /** Whether the mask editor is open, over the start picture of the active draft. */
  editsMask = $state(false)
  /** Files that were dropped or pasted and wait for what is to become of them. */
  dropped = $state<File[]>([])
  /** Model files that wait to be added on the Models page. */
  uploads = $state<File[]>([])
  /** A link to a model that was dropped or pasted, for the Models page. */
  modelLink = $state('')
  /** What the Upscale page begins with. */
  upscaleSource = $state<PictureSource | null>(null)
}

export const desk = new Desk()
