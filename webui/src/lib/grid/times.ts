/** Sums up how long the pictures of several models take, with the loads between them. */
import type { Schemas } from '../api/client'

/** Seconds of one picture, and of loading its model; null for what was never timed. */
export interface ModelTime {
  each: number | null
  load: number | null
}

export function readTime(told: Pick<Schemas['EstimateShown'], 'seconds_estimate'>): ModelTime {
  const seconds = told.seconds_estimate
  if (!seconds) return { each: null, load: null }
  return { each: seconds.total - (seconds.load ?? 0), load: seconds.load }
}

/** What `pictures` of each of these models take, each model being loaded once; `unknown` counts those that nobody has timed. */
export function sumTimes(
  models: readonly string[],
  pictures: number,
  told: Readonly<Record<string, ModelTime>>,
): { seconds: number; unknown: number } {
  let seconds = 0
  let unknown = 0
  for (const model of models) {
    const time = told[model]
    if (time?.each === null || time === undefined) unknown += 1
    else seconds += time.each * pictures + (time.load ?? 0)
  }
  return { seconds, unknown }
}
