import type { Messages } from '../en'
import first from './first'
import rest from './rest'

const messages: Messages = { ...first, ...rest }
export default messages
