import type { Messages } from '../en'
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

const messages: Messages = {
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
