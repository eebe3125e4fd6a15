import first from './first'
import rest from './rest'

const messages = { ...first, ...rest }
export default messages

/** Widens literal texts, so that another language may say it in other words. */
type Widen<T> = T extends string
  ? string
  : T extends (...given: infer A) => string
    ? (...given: A) => string
    : { readonly [K in keyof T]: Widen<T[K]> }
export type Messages = Widen<typeof messages>
