import { expect, it } from 'vitest'
import { factorOfName } from './upscalers'

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
