/** Reads the factor out of a name such as `RealESRGAN_x4plus.pth` or `4x-UltraSharp.safetensors`; 4 is the usual one. */
export function factorOfName(name: string): number {
  const match = /(?:^|[^a-z0-9])(?:x([1248])|([1248])x)/i.exec(name)
  return Number(match?.[1] ?? match?.[2] ?? 4)
}
