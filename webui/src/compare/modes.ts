/** The ways to compare two pictures, in the order of their keys. */
export const MODES = ['wipe', 'curtain', 'flip', 'side', 'difference'] as const
export type CompareMode = (typeof MODES)[number]
