/** Tells why a negative prompt would have no effect: the model is made to work without, or the guidance was set to 1. */
export function whyUnused(
  guidance: unknown,
  usualGuidance: unknown,
  isIgnored: boolean,
  otherGuidance?: unknown,
): 'model' | 'guidance' | null {
  const isOne = Number(guidance) === 1
  // Models that fill and edit may be guided by the picture's guidance instead; a negative one is none.
  if (isOne && typeof otherGuidance === 'number' && otherGuidance >= 0 && otherGuidance !== 1) return null
  if (isOne) return Number(usualGuidance) === 1 ? 'model' : 'guidance'
  // The server tells of the model's own guidance; with another one the negative prompt counts again.
  return isIgnored && Number(usualGuidance) !== 1 ? 'model' : null
}
