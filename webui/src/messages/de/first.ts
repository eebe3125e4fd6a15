/** The words that the shell and Generate need at once. */
import type { Messages } from '../en'
import common from './common'
import drop from './drop'
import generate from './generate'
import pictures from './pictures'
import prompt from './prompt'
import queue from './queue'
import shell from './shell'

const messages: Pick<Messages, 'common' | 'drop' | 'generate' | 'pictures' | 'prompt' | 'queue' | 'shell'> = {
  common,
  drop,
  generate,

  pictures,
  prompt,
  queue,
  shell,
}
export default messages
