/** The words of everything that is loaded when it is opened. */
import type { Messages } from '../en'
import assistant from './assistant'
import compare from './compare'
import each from './each'
import gallery from './gallery'
import grid from './grid'
import mask from './mask'
import models from './models'
import settings from './settings'
import upscale from './upscale'
import zoom from './zoom'

const messages: Pick<
  Messages,
  'assistant' | 'compare' | 'each' | 'gallery' | 'grid' | 'mask' | 'models' | 'settings' | 'upscale' | 'zoom'
> = { assistant, compare, each, gallery, grid, mask, models, settings, upscale, zoom }
export default messages
