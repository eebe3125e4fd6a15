/** Frames a second where the number of frames is not known: what most video models are trained for. */
const USUAL_RATE = 16

/** Where the frame before or after a moment begins. A little behind its beginning, so that rounding does not show the one before. */
export function stepFrame(time: number, by: number, duration: number, frames: number | undefined): number {
  if (!(duration > 0)) return 0
  const rate = frames && frames > 1 ? frames / duration : USUAL_RATE
  const last = Math.max(0, Math.round(duration * rate) - 1)
  const frame = Math.max(0, Math.min(last, Math.floor(time * rate + 1e-6) + by))
  return Math.min(duration, (frame + 0.1) / rate)
}
