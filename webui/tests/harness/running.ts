/** A real server of this checkout, in folders of its own, on a port that stays the same over restarts. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const COMMAND = process.env.SDCPP_REST_BIN ?? fileURLToPath(new URL('../../../.venv/bin/sdcpp-rest', import.meta.url))
const START_MS = 60_000

export interface ServerOptions {
  /** Settings besides those of every test: `{ 'auth.api_keys': ['secret'] }`. */
  settings?: Record<string, unknown>
  /** Variables of its environment. */
  env?: Record<string, string>
  /** Files of the models folder, by their path in it: the file to copy, or the content. */
  modelFiles?: Record<string, string | Buffer>
}

export interface Health {
  status: string
  model_loaded: boolean
  model_name: string | null
  engine: { pid: number | null; state: string; restarts: number }
}

export type Ended = Record<string, unknown> & { status: string; outputs?: string[] }

/** Origins that a page of the tests may speak to. */
export const knownOrigins = new Set<string>()
/** Where servers were that this test has stopped: a page cannot help but log that it is not reached. */
export const outages = new Set<string>()

export class RunningServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'sdcpp-rest-page-'))
  readonly dataDir = join(this.folder, 'data')
  readonly outputDir = join(this.folder, 'output')
  readonly modelsDir = join(this.folder, 'models')
  /** The address without a slash at its end. */
  readonly url: string
  /** What it has written, over all of its starts. */
  log = ''
  private child: ChildProcess | null = null

  private constructor(
    private readonly port: number,
    private readonly options: ServerOptions,
  ) {
    this.url = `http://127.0.0.1:${port}`
    knownOrigins.add(this.url)
    for (const [path, file] of Object.entries(options.modelFiles ?? {})) {
      const target = join(this.modelsDir, path)
      mkdirSync(dirname(target), { recursive: true })
      if (typeof file === 'string') copyFileSync(file, target)
      else writeFileSync(target, file)
    }
  }

  static async start(options: ServerOptions = {}): Promise<RunningServer> {
    const server = new RunningServer(await findFreePort(), options)
    await server.begin()
    return server
  }

  get isRunning(): boolean {
    return this.child !== null && this.child.exitCode === null && this.child.signalCode === null
  }

  /** The address of a page of the user interface: `server.page('gallery/12')`. */
  page(path = ''): string {
    return `${this.url}/ui/${path}`
  }

  /** Calls the server; throws with its words when it refuses. */
  async api<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(this.url + path, {
      method,
      headers: { ...this.authorization, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text.slice(0, 500)}`)
    return (answer.headers.get('Content-Type')?.includes('json') ? JSON.parse(text) : text) as T
  }

  health(): Promise<Health> {
    return this.api<Health>('GET', '/health')
  }

  /** Waits until the model that it began with (the demo model, unless told otherwise) is loaded. */
  async untilModel(): Promise<void> {
    await this.until(async () => (await this.health()).model_loaded)
  }

  /** Waits until a job has ended and returns it. */
  async untilJob(id: string): Promise<Ended> {
    let job: Ended = { status: 'pending' }
    await this.until(async () => {
      job = await this.api('GET', `/queue/${id}`)
      return ['completed', 'failed', 'cancelled', 'interrupted'].includes(job.status)
    })
    return job
  }

  /** Sends a job past the page, and does not wait for it. */
  async send(body: Record<string, unknown>): Promise<string> {
    return (await this.api<{ job_id: string }>('POST', '/txt2img', body)).job_id
  }

  /** Draws a picture with the demo model and waits for it; `body` is what it differs by. */
  async draw(body: Record<string, unknown> = {}): Promise<Ended & { job_id: string; outputs: string[] }> {
    await this.untilModel()
    const job_id = await this.send({ prompt: 'a red circle on a blue background', steps: 1, ...body })
    const { outputs, ...ended } = await this.untilJob(job_id)
    if (!outputs) throw new Error(`No picture: ${JSON.stringify(ended)}`)
    return { ...ended, outputs, job_id }
  }

  /** Ends all jobs that wait or run, and lets the queue go on. */
  async cancelJobs(): Promise<void> {
    await this.api('POST', '/queue/resume')
    await this.api('DELETE', '/queue/pending')
    const { items } = await this.api<{ items: { job_id: string }[] }>('GET', '/queue?status=processing')
    for (const { job_id } of items) await this.cancel(job_id)
  }

  /** Cancels a job, unless it has ended meanwhile. */
  async cancel(id: string): Promise<void> {
    await this.api('DELETE', `/queue/${id}`).catch(() => undefined)
  }

  /** Kills it as a power cut would. Its folders stay. */
  async kill(): Promise<void> {
    await this.end('SIGKILL')
  }

  /** Stops it in order. */
  async stop(): Promise<void> {
    await this.end('SIGTERM')
  }

  /** Starts it again, at the same address; stops it first where it still runs. */
  async restart(): Promise<void> {
    await this.stop()
    await this.begin()
  }

  /** Kills the process that draws. The server starts another one by itself. */
  async killEngine(): Promise<void> {
    let pid: number | null = null
    await this.until(async () => (pid = (await this.health()).engine.pid) !== null)
    process.kill(pid!, 'SIGKILL')
  }

  /** Ends it and removes its folders. */
  async close(): Promise<void> {
    await this.stop()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  private get authorization(): Record<string, string> {
    const keys = this.options.settings?.['auth.api_keys'] as string[] | undefined
    return keys?.[0] ? { Authorization: `Bearer ${keys[0]}` } : {}
  }

  private async begin(): Promise<void> {
    const settings = { 'engine.n_threads': 1, ...this.options.settings }
    const child = spawn(
      COMMAND,
      [
        ...['serve', '--port', String(this.port), '--ws-port', '0'],
        ...['--data-dir', this.dataDir, '--output-dir', this.outputDir, '--models-dir', this.modelsDir],
        ...Object.entries(settings).flatMap(([name, value]) => [
          '--set',
          `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
        ]),
      ],
      { env: { ...process.env, ...this.options.env }, stdio: ['ignore', 'pipe', 'pipe'], cwd: this.folder },
    )
    this.child = child
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        this.log += data.toString()
      })
    await this.until(async () => {
      if (!this.isRunning) throw new Error(`The server ended by itself:\n${this.log.slice(-3000)}`)
      return fetch(`${this.url}/health`).then(
        (answer) => answer.ok,
        () => false,
      )
    })
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (!this.isRunning || !this.child) return
    outages.add(`${new URL(this.url).host}/`)
    const ended = once(this.child, 'exit')
    this.child.kill(signal)
    await ended
  }

  private async until(isSo: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + START_MS
    while (!(await isSo())) {
      if (Date.now() > deadline) throw new Error(`Waited in vain; the server said:\n${this.log.slice(-3000)}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

export async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}
