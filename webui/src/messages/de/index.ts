import type { Messages } from '../en'
import common from './common'
import shell from './shell'

const messages: Messages = { common, shell }
export default messages
