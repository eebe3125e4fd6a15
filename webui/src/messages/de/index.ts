import type { Messages } from '../en'
import common from './common'
import drop from './drop'
import shell from './shell'

const messages: Messages = { common, drop, shell }
export default messages
