import type { Messages } from '../en'
import assistant from './assistant'
import common from './common'
import drop from './drop'
import grid from './grid'
import pictures from './pictures'
import queue from './queue'
import settings from './settings'
import shell from './shell'
import upscale from './upscale'

const messages: Messages = { assistant, common, drop, grid, pictures, queue, settings, shell, upscale }
export default messages
