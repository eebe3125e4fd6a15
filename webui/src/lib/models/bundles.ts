/** Models to begin with: which of their sizes suits this machine, in which order, and how far their files are. */
import type { Schemas } from '../api/client'
import type { Job } from '../events/apply'
import { fileOf } from './catalog'
import type { Budget, Verdict } from './fit'
import { buildLoadBody } from './roles'
import { LIST_OF_TYPE } from './types'

export type Bundle = Schemas['BundleShown']
export type BundleSize = Schemas['BundleSizeShown']
export type BundleFile = Schemas['BundleFileShown']

export interface Offer {
  bundle: Bundle
  size: BundleSize
  verdict: Verdict
}

/** The system and other programs need some of main memory; a GPU's is nearly all for drawing. */
const SHARE_OF_RAM = 0.75
/** Memory is sold rounded: a card "of 8 GB" tells a little less. */
const SLACK = 1.08

/** The memory class of a machine, in GiB. */
export function memoryClass(budget: Budget): number {
  return (budget.bytes / 2 ** 30) * (budget.isGpu ? SLACK : SHARE_OF_RAM)
}

/** Chooses for each bundle the size that suits the machine, and sorts what fits before what does not. */
export function orderBundles(bundles: readonly Bundle[], budget: Budget | null): Offer[] {
  const memory = budget ? memoryClass(budget) : 8
  const offers = bundles.flatMap((bundle) => {
    const sizes = [...bundle.sizes].sort((a, b) => a.memory_gb - b.memory_gb)
    const smallest = sizes[0]
    if (!smallest) return []
    const size = sizes.filter((one) => one.memory_gb <= memory).at(-1) ?? smallest
    return [{ bundle, size, verdict: judge(size, memory) }]
  })
  // Without a GPU the smallest model is the only one that is quick; with one, whatever stays on it is.
  const weight = (offer: Offer): number =>
    budget?.isGpu === false ? offer.size.files.length : Number(offer.size.load_options.offload_to_cpu === true)
  return offers
    .map((offer, at) => ({ offer, at }))
    .sort((a, b) => RANK[a.offer.verdict] - RANK[b.offer.verdict] || weight(a.offer) - weight(b.offer) || a.at - b.at)
    .map(({ offer }) => offer)
}

const RANK: Record<Verdict, number> = { fits: 0, tight: 1, no: 2 }

function judge(size: BundleSize, memory: number): Verdict {
  if (size.memory_gb > memory) return 'no'
  return size.load_options.offload_to_cpu === true ? 'tight' : 'fits'
}

/** What a file of a bundle is called once it is here. */
export function nameOfFile(file: BundleFile): string {
  return file.name || fileOf(file.filename)
}

/** How far one file is. `stopped`: it is neither here nor on its way. */
export interface FileState {
  file: BundleFile
  state: 'here' | 'waiting' | 'running' | 'checking' | 'failed' | 'stopped'
  /** The name under which it is listed, once it is here. */
  listed: string
  job: Job | null
  doneBytes: number
  totalBytes: number | null
}

/** Tells how far a file is, from what is listed and what the jobs say. */
export function stateOfFile(file: BundleFile, names: Schemas['ModelNames'] | null, jobs: readonly Job[]): FileState {
  const name = nameOfFile(file)
  const listed = names?.[LIST_OF_TYPE[file.model_type]].find((one) => fileOf(one) === name) ?? ''
  const job = newestOf(
    jobs.filter(
      (one) =>
        one.type === 'model_download' && one.params.repo_id === file.repo_id && one.params.filename === file.filename,
    ),
  )
  const check = job ? newestOf(jobs.filter((one) => one.params.download_job_id === job.job_id)) : null
  const told = job?.progress
  const totalBytes = told?.total_bytes ?? (typeof job?.params.size_bytes === 'number' ? job.params.size_bytes : null)
  const base = { file, listed, job, totalBytes, doneBytes: told?.downloaded_bytes ?? 0 }
  if (job?.status === 'processing') return { ...base, state: 'running' }
  if (job?.status === 'pending') return { ...base, state: 'waiting' }
  if (listed) return { ...base, state: 'here', doneBytes: totalBytes ?? 0 }
  if (check?.status === 'failed') return { ...base, job: check, state: 'failed' }
  if (job?.status === 'completed') return { ...base, state: 'checking', doneBytes: totalBytes ?? base.doneBytes }
  return { ...base, state: job?.status === 'failed' ? 'failed' : 'stopped' }
}

function newestOf(jobs: readonly Job[]): Job | null {
  return jobs.reduce<Job | null>((best, one) => (!best || one.created_at >= best.created_at ? one : best), null)
}

export interface BundleProgress {
  files: FileState[]
  /** All files are here. */
  isDone: boolean
  /** Some file is on its way. */
  isActive: boolean
  /** 0 to 1, where any size is known. */
  share: number | null
  doneBytes: number
  totalBytes: number | null
  bytesPerSecond: number
  etaSeconds: number | null
  error: string
}

/** Adds up how far a bundle is. */
export function progressOf(
  size: BundleSize,
  names: Schemas['ModelNames'] | null,
  jobs: readonly Job[],
): BundleProgress {
  const files = size.files.map((file) => stateOfFile(file, names, jobs))
  const fetched = files.filter((one) => one.job !== null)
  const knows = fetched.length > 0 && fetched.every((one) => one.totalBytes !== null)
  const totalBytes = knows ? sum(fetched, (one) => one.totalBytes ?? 0) : null
  const doneBytes = sum(fetched, (one) => one.doneBytes)
  const bytesPerSecond = sum(files, (one) => (one.state === 'running' ? (one.job?.progress.bytes_per_second ?? 0) : 0))
  const failed = files.find((one) => one.state === 'failed')
  return {
    files,
    isDone: files.every((one) => one.state === 'here'),
    isActive: files.some((one) => ['waiting', 'running', 'checking'].includes(one.state)),
    share: totalBytes ? Math.min(1, doneBytes / totalBytes) : null,
    doneBytes,
    totalBytes,
    bytesPerSecond,
    etaSeconds: totalBytes !== null && bytesPerSecond > 0 ? (totalBytes - doneBytes) / bytesPerSecond : null,
    error: failed?.job?.error ?? '',
  }
}

function sum<T>(list: readonly T[], value: (one: T) => number): number {
  return list.reduce((total, one) => total + value(one), 0)
}

/** Makes the body that loads a bundle whose files are all here; null while one is missing. */
export function loadBodyOf(size: BundleSize, files: readonly FileState[]): Schemas['LoadBody'] | null {
  const model = files.find((one) => one.file.component === null)
  if (!model?.listed || files.some((one) => !one.listed)) return null
  const parts = Object.fromEntries(
    files.filter((one) => one.file.component !== null).map((one) => [one.file.component!, one.listed]),
  )
  return buildLoadBody({ name: model.listed, type: model.file.model_type }, parts, size.load_options)
}
