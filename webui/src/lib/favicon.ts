/** The icon of the window while something runs: a ring that fills. */

const STEP = 5

/** How much of the ring is full, in per cent: in steps, so that it changes twenty times a job; where nothing is to move, all of it. */
export function ringOf(percentage: number, isStill: boolean): number {
  return isStill ? 100 : Math.floor(Math.max(0, Math.min(100, percentage)) / STEP) * STEP
}

/** Draws the ring as a `data:` address. */
export function drawRing(full: number): string {
  const circle = '<circle cx="32" cy="32" r="19" fill="none" stroke="#fff" stroke-width="9" pathLength="100"'
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="16" fill="#0b6b5f"/>${circle} opacity=".3"/>${circle} stroke-dasharray="${full} 100" transform="rotate(-90 32 32)"/></svg>`
  return `data:image/svg+xml,${encodeURIComponent(svg)}`
}
