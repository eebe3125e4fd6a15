import type { Messages } from '../en'
import common from './common'
import drop from './drop'
import grid from './grid'
import shell from './shell'
import upscale from './upscale'

const messages: Messages = { common, drop, grid, shell, upscale }
export default messages
