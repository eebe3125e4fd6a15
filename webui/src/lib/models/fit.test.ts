import { describe, expect, it } from 'vitest'
import { budgetOf, convertedSize, neededWith, readFit, roughFit, verdictFor } from './fit'

const device = {
  name: 'CUDA0',
  description: 'RTX',
  is_gpu: true,
  free_bytes: 8e9,
  total_bytes: 8e9,
  needed_bytes: 9e9,
  verdict: 'no' as const,
  advice: [
    { option: 'vae_tiling', value: true, saves_bytes: 2e9, text: 'Tiles' },
    { option: 'weight_type', value: 'q8_0', saves_bytes: 1e9, text: 'Smaller' },
  ],
}
const fitOf = (...devices: (typeof device | Record<string, unknown>)[]) =>
  readFit({ devices } as unknown as Parameters<typeof readFit>[0])
const memory = (gpu: number, ram: number) =>
  ({ gpu: { available: gpu > 0, total_bytes: gpu }, system: { total_bytes: ram } }) as Parameters<typeof budgetOf>[0]

describe('fit', () => {
  it('is that of the scarcest device', () => {
    const cpu = { ...device, name: 'CPU', description: '', is_gpu: false, verdict: 'fits', needed_bytes: 1e9 }
    expect(fitOf(cpu, device)).toMatchObject({ verdict: 'no', device: 'RTX', neededBytes: 9e9 })
    expect(fitOf(cpu)).toMatchObject({ verdict: 'fits', device: 'CPU' })
    expect(fitOf({ ...cpu, name: 'a' }, { ...cpu, name: 'b', needed_bytes: 2e9 })?.device).toBe('b')
    expect([readFit(null), readFit(undefined), fitOf()]).toEqual([null, null, null])
  })
  it('changes with the advice that is taken', () => {
    const fit = fitOf(device)!
    expect(neededWith(fit, () => undefined)).toBe(9e9)
    const taken = neededWith(fit, (option) => ({ vae_tiling: true, weight_type: 'q4_0' })[option])
    expect(taken).toBe(7e9)
    expect([9e9, 7e9, 7.9e9, 10e9].map((bytes) => verdictFor(fit, bytes))).toEqual(['no', 'fits', 'tight', 'no'])
  })
  it('goes by the memory that is drawn in', () => {
    expect(budgetOf(memory(8e9, 32e9))).toEqual({ bytes: 8e9, isGpu: true })
    expect(budgetOf(memory(0, 32e9))).toEqual({ bytes: 32e9, isGpu: false })
    expect([budgetOf(memory(0, 0)), budgetOf(null)]).toEqual([null, null])
  })
  it('is rough for what is not here', () => {
    const budget = { bytes: 8e9, isGpu: true }
    expect([1e9, 6.2e9, 8e9].map((size) => roughFit(size, budget).verdict)).toEqual(['fits', 'tight', 'no'])
    expect(convertedSize(1000, 8.5)).toBe(1063)
  })
})
