/** Listens to the server's event stream, comes back after every break, and asks for what was missed. */

export interface ServerEvent {
  event: string
  timestamp: string
  data: Record<string, unknown>
  seq?: number
  epoch?: string
}

export interface SocketLike {
  onopen: (() => void) | null
  onmessage: ((message: { data: unknown }) => void) | null
  onclose: ((event: { code?: number }) => void) | null
  close(): void
}

export interface FeedOptions {
  /** Opens a socket that asks for what came after `since` of the run `epoch`. */
  open(since: number, epoch: string): SocketLike
  onEvent(event: ServerEvent): void
  /** What was missed is not kept any more, or the server was restarted: everything is to be asked for anew. */
  onResync(): void
  onLink(link: 'open' | 'lost'): void
  /** Calls `run` after `ms`; returns what takes that back. */
  schedule?(run: () => void, ms: number): () => void
  random?(): number
}

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 10_000
/** The server tells how it is every few seconds; a stream that is silent for so long is dead, whatever the socket says. */
const SILENCE_MS = 20_000

export class EventFeed {
  private seq = 0
  private epoch = ''
  private socket: SocketLike | null = null
  private attempts = 0
  private stopped = true
  private cancelRetry: (() => void) | null = null
  private cancelSilence: (() => void) | null = null
  private readonly options: FeedOptions

  constructor(options: FeedOptions) {
    this.options = options
  }

  /** Begins behind the event `seq` of the run `epoch`: those that `GET /ui/bootstrap` told. */
  start(seq: number, epoch: string): void {
    this.seq = seq
    this.epoch = epoch
    this.stopped = false
    this.connect()
  }

  stop(): void {
    this.stopped = true
    this.drop()
    this.cancelRetry?.()
    this.cancelRetry = null
  }

  /** Tries at once what would be tried after a pause: the network is back, or somebody looks at the page again. */
  nudge(): void {
    if (!this.stopped && this.cancelRetry) {
      this.cancelRetry()
      this.connect()
    }
  }

  private connect(): void {
    this.cancelRetry = null
    this.drop()
    const socket = this.options.open(this.seq, this.epoch)
    this.socket = socket
    this.listenForSilence()
    socket.onmessage = (message) => {
      if (socket === this.socket) this.read(message.data)
    }
    socket.onclose = () => {
      if (socket === this.socket) this.comeBack()
    }
  }

  private read(raw: unknown): void {
    this.listenForSilence()
    let event: ServerEvent
    try {
      event = JSON.parse(String(raw)) as ServerEvent
    } catch {
      return
    }
    this.options.onLink('open')
    this.attempts = 0
    if (event.event === 'resync') {
      this.keep(event)
      this.options.onResync()
      return
    }
    if (event.seq === undefined) return
    const isAnotherRun = event.epoch !== undefined && event.epoch !== this.epoch
    // A greeting repeats the number behind which everything follows; news carry a higher one, exactly once.
    if (!isAnotherRun && event.seq <= this.seq && event.event !== 'server_status') return
    // The greeting of another run says nothing of what it follows: the resync behind it does.
    if (!isAnotherRun) this.keep(event)
    this.options.onEvent(event)
  }

  private keep(event: ServerEvent): void {
    if (event.epoch !== undefined && event.epoch !== this.epoch) {
      this.epoch = event.epoch
      this.seq = event.seq ?? 0
    } else if (event.seq !== undefined) this.seq = Math.max(this.seq, event.seq)
  }

  private comeBack(): void {
    this.drop()
    if (this.stopped) return
    this.options.onLink('lost')
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.attempts)
    this.attempts += 1
    const jitter = 0.75 + (this.options.random ?? Math.random)() / 2
    this.cancelRetry = this.schedule(() => this.connect(), pause * jitter)
  }

  private listenForSilence(): void {
    this.cancelSilence?.()
    this.cancelSilence = this.schedule(() => this.comeBack(), SILENCE_MS)
  }

  private drop(): void {
    this.cancelSilence?.()
    this.cancelSilence = null
    const socket = this.socket
    this.socket = null
    if (socket) {
      socket.onmessage = socket.onclose = null
      socket.close()
    }
  }

  private schedule(run: () => void, ms: number): () => void {
    if (this.options.schedule) return this.options.schedule(run, ms)
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  }
}
