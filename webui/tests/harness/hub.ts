/** A server that answers like Hugging Face: files with sums, in pieces where it is asked for, cut and held on demand. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const COMMIT = '0123456789abcdef0123456789abcdef01234567'

/** Makes the smallest file that is a safetensors file of so many bytes of weights. */
export function makeSafetensors(bytes: number): Buffer {
  const header = Buffer.from(
    JSON.stringify({ weight: { dtype: 'F32', shape: [bytes / 4], data_offsets: [0, bytes] } }).padEnd(120),
  )
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, Buffer.alloc(bytes, 7)])
}

export class Hub {
  /** Where each answer with a file's bytes began. */
  readonly starts: number[] = []
  /** No answer sends bytes from here on; the connection stays open until it is cut. */
  heldAt: number | null = null
  /** Whether it refuses everything, as a server does that is down. */
  isDown = false
  private readonly server: Server

  private constructor(private readonly repositories: Record<string, Record<string, Buffer>>) {
    this.server = createServer((request, response) => this.answer(request, response))
  }

  static async start(repositories: Record<string, Record<string, Buffer>>): Promise<Hub> {
    const hub = new Hub(repositories)
    hub.server.listen(0, '127.0.0.1')
    await once(hub.server, 'listening')
    return hub
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  /** Settings of a server that downloads from here. */
  get settings(): Record<string, unknown> {
    return {
      'downloads.huggingface_endpoint': this.url,
      'downloads.allow_private_hosts': ['127.0.0.1'],
      'downloads.retries': 1,
      'downloads.retry_pause_seconds': 0.05,
    }
  }

  /** Breaks off in the middle of what is held, and refuses all that comes after. */
  cut(): void {
    this.isDown = true
    this.heldAt = null
    this.server.closeAllConnections()
  }

  close(): void {
    this.server.closeAllConnections()
    this.server.close()
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    if (this.isDown) return void response.writeHead(503).end()
    const path = decodeURIComponent(new URL(request.url ?? '/', this.url).pathname)
    const parts = path.split('/').filter(Boolean)
    const isApi = parts[0] === 'api'
    const [owner, name, ...rest] = isApi ? parts.slice(2) : parts
    const files = this.repositories[`${owner}/${name}`]
    if (!files) return void response.writeHead(404, { 'X-Error-Code': 'RepoNotFound' }).end()
    if (isApi) return this.describe(`${owner}/${name}`, files, response)
    const content = files[rest.slice(2).join('/')]
    if (!content) return void response.writeHead(404, { 'X-Error-Code': 'EntryNotFound' }).end()
    this.send(request, content, response)
  }

  private describe(id: string, files: Record<string, Buffer>, response: ServerResponse): void {
    const siblings = Object.keys(files).map((rfilename) => ({ rfilename }))
    const told = { id, modelId: id, sha: COMMIT, tags: [], cardData: { license: 'apache-2.0' }, siblings }
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(told))
  }

  private send(request: IncomingMessage, content: Buffer, response: ServerResponse): void {
    const sum = createHash('sha256').update(content).digest('hex')
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const headers = {
      'X-Repo-Commit': COMMIT,
      'X-Linked-Size': String(content.length),
      'X-Linked-Etag': `"${sum}"`,
      ETag: `"${sum}"`,
      'Accept-Ranges': 'bytes',
      'Content-Type': 'application/octet-stream',
      'Content-Length': String(content.length - from),
      ...(request.headers.range ? { 'Content-Range': `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
    }
    response.writeHead(request.headers.range ? 206 : 200, headers)
    if (request.method === 'HEAD') return void response.end()
    this.starts.push(from)
    response.flushHeaders()
    if (this.heldAt === null) return void response.end(content.subarray(from))
    response.write(content.subarray(from, this.heldAt))
  }
}
