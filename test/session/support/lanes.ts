// Lanes without a core: what they ask of it is noted.
import type { AnyTlsError } from '../../../src/errors.ts'
import type { StreamRequest } from '../../../src/engine/machine.ts'
import { Lane } from '../../../src/session/lane.ts'
import type { LaneHost, LaneSink } from '../../../src/session/lane.ts'
import { FakeClock } from '../../support/fake-clock.ts'

export interface Laned {
  readonly lane: Lane
  /** What the lane asked of its core, and told its sink, in order. */
  readonly seen: unknown[][]
  readonly clock: FakeClock
  /** What the core does with what is pushed. */
  onPush: () => void
  /** What the sink does when it is destroyed. */
  onDestroy: () => void
}

export interface LaneOptions {
  readonly id?: number
  readonly request?: StreamRequest
  readonly openedHere?: boolean
}

export function makeLane(options: LaneOptions = {}): Laned {
  const { id = 1, request, openedHere = true } = options
  const seen: unknown[][] = []
  const clock = new FakeClock()
  const note =
    (name: string) =>
    (...args: readonly unknown[]): void =>
      void seen.push([name, ...args.filter((arg) => arg !== lane)])
  const host: LaneHost = {
    readsLent: true,
    backlog: 0,
    ready: note('ready'),
    push: () => {
      seen.push(['push'])
      laned.onPush()
    },
    widen: () => false,
    drained: note('drained'),
    lends: note('lends'),
    accept: note('accept'),
    finish: note('finish'),
    reset: note('reset'),
    consumed: note('consumed'),
    dropped: note('dropped'),
    schedule: (delay, callback) => clock.schedule(delay, callback),
  }
  const sink: LaneSink = {
    data: note('sink data'),
    settle: note('sink settle'),
    accepted: note('sink accepted'),
    end: note('sink end'),
    closed: note('sink closed'),
    sent: note('sink sent'),
    left: note('sink left'),
    destroy: (error) => {
      seen.push(['sink destroy', (error as AnyTlsError | undefined)?.code])
      laned.onDestroy()
    },
  }
  const lane = new Lane(host, { id, openedHere, request, priority: 128 })
  const laned: Laned = { lane, seen, clock, onPush: () => {}, onDestroy: () => {} }
  lane.attach(sink)
  return laned
}
