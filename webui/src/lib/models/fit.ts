/** Whether a model fits into memory, from what the server estimates; and a rough word where nothing is there yet. */
import type { Schemas } from '../api/client'

export type Verdict = 'fits' | 'tight' | 'no'

export interface Fit {
  verdict: Verdict
  neededBytes: number
  totalBytes: number
  freeBytes: number
  device: string
  isGpu: boolean
  advice: Schemas['AdviceShown'][]
}

const RANK: Record<Verdict, number> = { fits: 0, tight: 1, no: 2 }

/** Tells how a model fits on the scarcest of its devices; null where the server could not tell. */
export function readFit(shown: Schemas['FitShown'] | null | undefined): Fit | null {
  const worst = [...(shown?.devices ?? [])].sort(
    (a, b) =>
      RANK[b.verdict] - RANK[a.verdict] ||
      b.needed_bytes / Math.max(1, b.total_bytes) - a.needed_bytes / Math.max(1, a.total_bytes),
  )[0]
  if (!worst) return null
  return {
    verdict: worst.verdict,
    neededBytes: worst.needed_bytes,
    totalBytes: worst.total_bytes,
    freeBytes: worst.free_bytes,
    device: worst.description || worst.name,
    isGpu: worst.is_gpu,
    advice: worst.advice,
  }
}

export interface Budget {
  bytes: number
  isGpu: boolean
}

type MemoryTold = Pick<Schemas['Memory'], 'gpu' | 'system'>

/** The memory that pictures are drawn in: the GPU's where there is one, else main memory. */
export function budgetOf(memory: MemoryTold | null | undefined): Budget | null {
  if (memory?.gpu.available && memory.gpu.total_bytes > 0) return { bytes: memory.gpu.total_bytes, isGpu: true }
  return memory && memory.system.total_bytes > 0 ? { bytes: memory.system.total_bytes, isGpu: false } : null
}

/** What a file takes besides its weights, roughly: buffers grow with it, and something is always taken. */
const MORE = 1.15
const LEAST_BYTES = 400e6

/** Judges a file that is not here yet by its size alone. */
export function roughFit(sizeBytes: number, budget: Budget): { verdict: Verdict; neededBytes: number } {
  const neededBytes = Math.round(sizeBytes * MORE + LEAST_BYTES)
  const share = neededBytes / budget.bytes
  return { verdict: share > 1 ? 'no' : share > 0.9 ? 'tight' : 'fits', neededBytes }
}

/** What is still needed when some of the advice is taken. */
export function neededWith(fit: Fit, taken: (option: string) => unknown): number {
  const saved = fit.advice
    .filter((one) => taken(one.option) === one.value)
    .reduce((sum, one) => sum + one.saves_bytes, 0)
  return Math.max(0, fit.neededBytes - saved)
}

/** The verdict for other needs on the same device. */
export function verdictFor(fit: Fit, neededBytes: number): Verdict {
  if (neededBytes === fit.neededBytes) return fit.verdict
  return neededBytes > fit.freeBytes ? 'no' : neededBytes > 0.9 * fit.freeBytes ? 'tight' : 'fits'
}

/** Estimates a file's size with other weights. Tensors that are kept as they are (norms, biases) are few. */
export function convertedSize(parameterCount: number, bitsPerWeight: number): number {
  return Math.round((parameterCount * bitsPerWeight) / 8)
}
