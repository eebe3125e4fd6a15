import { beforeEach, describe, expect, it } from 'vitest'
import { EventFeed, type ServerEvent, type SocketLike } from './feed'

class FakeSocket implements SocketLike {
  onopen: (() => void) | null = null
  onmessage: ((message: { data: unknown }) => void) | null = null
  onclose: ((event: { code?: number }) => void) | null = null
  isClosed = false
  constructor(
    readonly since: number,
    readonly epoch: string,
  ) {}
  close(): void {
    this.isClosed = true
  }
  tell(event: string, seq?: number, epoch = 'run1', data: Record<string, unknown> = {}): void {
    this.onmessage?.({ data: JSON.stringify({ event, timestamp: '', data, seq, epoch }) })
  }
}

let sockets: FakeSocket[]
let events: ServerEvent[]
let links: string[]
let resyncs: number
let timers: { run: () => void; ms: number }[]
let feed: EventFeed

/** Runs the newest timer that waits. */
function elapse(): number {
  const timer = timers.pop()!
  timer.run()
  return timer.ms
}
const newest = (): FakeSocket => sockets.at(-1)!

beforeEach(() => {
  sockets = []
  events = []
  links = []
  resyncs = 0
  timers = []
  feed = new EventFeed({
    open: (since, epoch) => {
      const socket = new FakeSocket(since, epoch)
      sockets.push(socket)
      return socket
    },
    onEvent: (event) => events.push(event),
    onResync: () => (resyncs += 1),
    onLink: (link) => links.push(link),
    random: () => 0.5,
    schedule: (run, ms) => {
      const timer = { run, ms }
      timers.push(timer)
      return () => {
        timers = timers.filter((one) => one !== timer)
      }
    },
  })
  feed.start(8, 'run1')
})

describe('the event feed', () => {
  it('begins behind what was told already', () => {
    expect([newest().since, newest().epoch]).toEqual([8, 'run1'])
    newest().tell('server_status', 8)
    newest().tell('job_added', 9)
    expect(events.map((one) => one.event)).toEqual(['server_status', 'job_added'])
  })

  it('tells nothing twice, and lets numbers be missing', () => {
    for (const seq of [9, 12, 12, 10, 13]) newest().tell('job_added', seq)
    expect(events.map((one) => one.seq)).toEqual([9, 12, 13])
  })

  it('comes back with the last number it has read', () => {
    newest().tell('job_added', 20)
    newest().onclose?.({})
    expect(links.at(-1)).toBe('lost')
    elapse()
    expect([newest().since, newest().epoch]).toEqual([20, 'run1'])
    expect(sockets[0]!.isClosed).toBe(true)
    sockets[0]!.tell('job_added', 21)
    expect(events).toHaveLength(1)
  })

  it('waits longer after each failure, ten seconds at most, and not after a success', () => {
    const waits = []
    for (let i = 0; i < 7; i++) {
      newest().onclose?.({})
      waits.push(elapse())
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 10000, 10000])
    newest().tell('server_status', 8)
    newest().onclose?.({})
    expect(elapse()).toBe(500)
  })

  it('tries at once when it is nudged, but opens no second socket', () => {
    newest().onclose?.({})
    feed.nudge()
    expect(sockets).toHaveLength(2)
    feed.nudge()
    expect(sockets).toHaveLength(2)
  })

  it('asks for everything where what was missed is not kept', () => {
    newest().tell('resync', 1240, 'run1', { reason: 'too_old' })
    expect(resyncs).toBe(1)
    newest().tell('job_added', 1240)
    newest().tell('job_added', 1241)
    expect(events.map((one) => one.seq)).toEqual([1241])
  })

  it('follows a server that was restarted', () => {
    newest().tell('job_added', 50)
    newest().onclose?.({})
    elapse()
    newest().tell('server_status', 3, 'run2')
    newest().tell('resync', 3, 'run2', { reason: 'other_epoch' })
    newest().tell('job_added', 4, 'run2')
    expect(resyncs).toBe(1)
    expect(events.at(-1)).toMatchObject({ event: 'job_added', seq: 4 })
    newest().onclose?.({})
    elapse()
    expect([newest().since, newest().epoch]).toEqual([4, 'run2'])
  })

  it('gives up a stream that has gone silent', () => {
    elapse()
    expect(sockets[0]!.isClosed).toBe(true)
    expect(links).toEqual(['lost'])
  })

  it('reads past what it cannot read, and what has no number', () => {
    newest().onmessage?.({ data: '{broken' })
    newest().tell('pong')
    expect(events).toEqual([])
  })

  it('stays silent when it was stopped', () => {
    feed.stop()
    newest().onclose?.({})
    feed.nudge()
    expect(sockets).toHaveLength(1)
    expect(timers).toEqual([])
  })
})
