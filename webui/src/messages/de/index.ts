import type { Messages } from '../en'
import assistant from './assistant'
import common from './common'
import drop from './drop'
import generate from './generate'
import grid from './grid'
import pictures from './pictures'
import prompt from './prompt'
import queue from './queue'
import settings from './settings'
import shell from './shell'
import upscale from './upscale'

const messages: Messages = { assistant, common, drop, generate, grid, pictures, prompt, queue, settings, shell, upscale }
export default messages
