import { afterEach, expect, it, vi } from 'vitest'
import { api } from '../api/client'
import { factorOfName, loadUpscaler } from './upscalers'

afterEach(() => vi.restoreAllMocks())

it('an upscaler’s factor is read out of its name', () => {
  const names = [
    'RealESRGAN_x4plus.pth',
    '4x-UltraSharp.safetensors',
    'esrgan_x2.safetensors',
    '2x_anime.gguf',
    'x8.bin',
    'swin.pth',
    'max4.pth',
  ]
  expect(names.map(factorOfName)).toEqual([4, 4, 2, 2, 8, 4, 4])
})

it('an upscaler is loaded with its name, however long that takes', async () => {
  const told = { data: { upscaler: 'a.pth' }, response: new Response(null, { status: 200 }) }
  const post = vi.spyOn(api, 'POST').mockResolvedValue(told as never)
  expect(await loadUpscaler('a.pth')).toEqual(told.data)
  expect(post).toHaveBeenCalledExactlyOnceWith('/upscaler/load', { body: { model_name: 'a.pth' }, signal: undefined })
})
