import { expect, it } from 'vitest'
import { applyEvent, type View } from './apply'

it('still knows after a heartbeat that the queue is paused', () => {
  const view: View = {
    health: null,
    counts: { pending_count: 1, paused: false } as View['counts'],
    jobs: {},
    previews: {},
    heard: {},
    loading: null,
  }
  applyEvent(view, { event: 'queue_paused', timestamp: '', data: {} })
  applyEvent(view, { event: 'server_status', timestamp: '', data: { queue: { pending_count: 2 } } })
  expect(view.counts).toMatchObject({ pending_count: 2, paused: true })
})
