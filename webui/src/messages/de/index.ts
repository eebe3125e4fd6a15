import type { Messages } from '../en'
import assistant from './assistant'
import common from './common'
import drop from './drop'
import grid from './grid'
import settings from './settings'
import shell from './shell'
import upscale from './upscale'

const messages: Messages = { assistant, common, drop, grid, settings, shell, upscale }
export default messages
