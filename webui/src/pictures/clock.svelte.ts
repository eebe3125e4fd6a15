/** Tells the time to whatever counts down, once a second and only while somebody looks. */
import { createSubscriber } from 'svelte/reactivity'

let now = Date.now()

const subscribe = createSubscriber((update) => {
  const timer = setInterval(() => {
    now = Date.now()
    update()
  }, 1_000)
  return () => clearInterval(timer)
})

export const clock = {
  /** The time in milliseconds, at most a second old. */
  get now(): number {
    subscribe()
    return Math.max(now, Date.now())
  },
}
