import assistant from './assistant'
import common from './common'
import compare from './compare'
import drop from './drop'
import gallery from './gallery'
import generate from './generate'
import grid from './grid'
import mask from './mask'
import models from './models'
import pictures from './pictures'
import prompt from './prompt'
import queue from './queue'
import settings from './settings'
import shell from './shell'
import upscale from './upscale'
import zoom from './zoom'

const messages = {
  assistant,
  common,
  compare,
  drop,
  gallery,
  generate,
  grid,
  mask,
  models,
  pictures,
  prompt,
  queue,
  settings,
  shell,
  upscale,
  zoom,
}
export default messages

/** Widens literal texts, so that another language may say it in other words. */
type Widen<T> = T extends string
  ? string
  : T extends (...given: infer A) => string
    ? (...given: A) => string
    : { readonly [K in keyof T]: Widen<T[K]> }
export type Messages = Widen<typeof messages>
