/** Knows of model files what a choice among them needs: which files go with one, in which group it stands, how it fits. */
import type { Schemas } from '../api/client'

export type ModelFile = Schemas['ModelShown']
export type Detection = Schemas['DetectionShown']

/** Parts that stand in for one another: the first that is there is taken. */
const STAND_INS: Record<string, readonly string[]> = { vae: ['vae', 'taesd'], taesd: ['vae', 'taesd'] }

/** Chooses the files that a model is loaded with, the best first; `lacks` names the parts that no file is there for. */
export function chooseParts(detection: Detection): { parts: Record<string, string>; lacks: string[] } {
  const parts: Record<string, string> = {}
  const lacks: string[] = []
  for (const component of detection.architecture?.requiredComponents ?? []) {
    if (detection.inside.includes(component)) continue
    const standIn = (STAND_INS[component] ?? [component]).find((one) => detection.suggestions[one]?.length)
    const file = standIn && detection.suggestions[standIn]?.[0]?.name
    if (standIn && file) parts[standIn] = file
    else lacks.push(component)
  }
  // What a file brings along in part is not missing: only where the server says that something is.
  return { parts, lacks: detection.missing.length > 0 ? lacks : [] }
}

/** The models that draw, the loaded one first, then by name; those whose name or title has all words of `query`. */
export function listDrawing(
  listing: { checkpoints: ModelFile[]; diffusion_models: ModelFile[] },
  query = '',
  titleOf: (name: string) => string = () => '',
): ModelFile[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  return [...listing.checkpoints, ...listing.diffusion_models]
    .filter((one) => words.every((word) => `${one.name} ${titleOf(one.name)}`.toLowerCase().includes(word)))
    .sort((a, b) => Number(b.is_loaded ?? false) - Number(a.is_loaded ?? false) || a.name.localeCompare(b.name))
}

/** Reads the way of quantizing out of a file's name, where it says it: `Q4_K`, `q8_0`, `fp16`. */
export function readQuantization(name: string): string {
  const found =
    /(?:^|[-_.])(i?q\d(?:_[a-z0-9]{1,2}){0,2}|fp?16|bf16|fp?32|fp8(?:_e\dm\d(?:fn)?)?|int8|nf4)(?=[-_.]|$)/i.exec(name)
  return found ? found[1]!.toUpperCase() : ''
}
