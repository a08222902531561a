// What a session sends: how much lanes may give at once, at which pace, and when each hears that its bytes have left.
import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import type { Machine, Write } from '../../src/engine/machine.ts'
import { Lane } from '../../src/session/lane.ts'
import type { LaneHost, LaneSink } from '../../src/session/lane.ts'
import { takeJoinBuffer } from '../../src/session/join-buffers.ts'
import { Outlet } from '../../src/session/outlet.ts'
import { Pace } from '../../src/session/pace.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { takeUncaught } from '../support/uncaught.ts'

const KIB = 1_024
/** Bytes under way at which lanes wait. */
const HIGH_WATER = 256 * KIB

/** Keeps each write until it is let go. */
class HeldSink extends Duplex {
  readonly #held: { readonly bytes: number; readonly callback: () => void }[] = []

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#held.push({ bytes: chunk.length, callback })
  }

  /** Lets go what is held, if anything is. @returns its bytes */
  release(): number {
    const first = this.#held.shift()
    first?.callback()
    return first?.bytes ?? 0
  }
}

/** The same of a socket. */
class HeldSocket extends Socket {
  override _write(): void {}
}

interface LaneBench {
  readonly lane: Lane
  /** What its sink was told. */
  readonly told: string[]
  /** Called when its sink is told that its last bytes have left. */
  onLeft: () => void
  /** Has something to send, and nothing after it. */
  readonly give: (bytes: number) => void
}

/** An outlet to a sink that a test holds, a machine that sends in frames without heads, and a session between them. */
function makeOutlet({ maxPayload = 65_535, to }: { maxPayload?: number; to?: Duplex } = {}) {
  const clock = new FakeClock()
  const sink = new HeldSink()
  const told: string[] = []
  const outlet = new Outlet(to ?? sink, clock, {
    progressed: () => void told.push('progressed'),
    resumed: () => void told.push('resumed'),
  })
  let writes: Write[] = []
  /** The lanes whose bytes the machine was given, in order. */
  const sent: number[] = []
  const credits = new Map<number, number>()
  const machine = {
    shaping: false,
    maxPayload,
    credit: (id: number) => credits.get(id) ?? Infinity,
    sendData(id: number, parts: readonly Uint8Array[], bytes: number) {
      sent.push(id)
      writes.push({ parts, bytes, shaped: false })
    },
    takeWrites() {
      const taken = writes
      writes = []
      return taken
    },
  } as unknown as Machine
  const host = {
    readsLent: false,
    ready: (lane: Lane) => outlet.add(lane),
    drained: (lane: Lane) => outlet.drained(lane),
    lends: (buffers: readonly Buffer[]) => outlet.lends(buffers),
    push: (lane: Lane) => outlet.add(lane),
  } as unknown as LaneHost
  const makeLane = (id: number): LaneBench => {
    const lane = new Lane(host, { id, openedHere: true, request: undefined, priority: 128 })
    const heard: string[] = []
    const bench: LaneBench = {
      lane,
      told: heard,
      onLeft: () => {},
      give: (bytes) => lane.write([Buffer.alloc(bytes, id)]),
    }
    lane.attach({
      sent: () => void heard.push('sent'),
      left: () => {
        heard.push('left')
        bench.onLeft()
      },
      destroy: (error: AnyTlsError) => void heard.push(error.code),
    } as unknown as LaneSink)
    return bench
  }
  const turn = (isShared = true): void => {
    outlet.pump(machine, clock.now(), isShared)
    outlet.write(machine)
  }
  return { outlet, machine, clock, sink, told, sent, credits, makeLane, turn }
}

describe('lanes that have something to send', () => {
  it('take turns until 256 KiB are under way, and go on as those leave', () => {
    const { outlet, sink, sent, makeLane, turn, told } = makeOutlet()
    const lanes = [makeLane(1), makeLane(2)]
    for (const { give } of lanes) give(1_000 * KIB)
    expect(outlet.waiting).toBe(true)
    turn()
    expect(sent.slice(0, 4)).toEqual([1, 2, 1, 2])
    expect(outlet.backlog).toBeGreaterThanOrEqual(HIGH_WATER)
    expect(outlet.backlog).toBeLessThan(HIGH_WATER + 66 * KIB)
    const turns = sent.length
    turn()
    expect(sent).toHaveLength(turns)
    sink.release()
    sink.release()
    expect(told).toEqual(['progressed', 'progressed'])
    turn()
    expect(sent.length).toBeGreaterThan(turns)
    expect(outlet.waiting).toBe(true)
  })

  it('has twice as much under way where there is but one, with wide writes', () => {
    const [narrow, shared, wide] = [0, 1, 2].map((wants) => {
      const { outlet, makeLane, turn } = makeOutlet({ to: new HeldSocket() })
      onTestFinished(() => outlet.handOver())
      if (wants > 0) expect(outlet.widen()).toBe(true)
      makeLane(1).give(2_000 * KIB)
      turn(wants === 1)
      return outlet.backlog
    })
    expect(narrow).toBeGreaterThanOrEqual(HIGH_WATER)
    expect(narrow).toBeLessThan(HIGH_WATER + 66 * KIB)
    expect(shared).toBe(narrow)
    expect(wide).toBeGreaterThanOrEqual(2 * HIGH_WATER)
    expect(wide).toBeLessThan(2 * HIGH_WATER + 66 * KIB)
  })

  it('send nothing any more once they are deleted, and none does after clear()', () => {
    const { outlet, sent, makeLane, turn } = makeOutlet()
    const [one, other] = [makeLane(1), makeLane(2)]
    for (const { give } of [one, other]) give(10)
    outlet.delete(one.lane)
    turn()
    expect(sent).toEqual([2])
    expect(outlet.accepted).toBe(10)
    one.give(10)
    outlet.clear()
    expect(outlet.waiting).toBe(false)
    turn()
    expect(sent).toEqual([2])
  })

  it('wait for credit without being asked again', () => {
    const { outlet, sent, credits, makeLane, turn } = makeOutlet()
    credits.set(1, 0)
    makeLane(1).give(10)
    turn()
    expect([outlet.waiting, sent, outlet.backlog]).toEqual([false, [], 0])
  })
})

describe('wide writes', () => {
  it.each([
    ['is over', (outlet: Outlet) => outlet.lose(new AnyTlsError('ERR_CONNECTION_LOST'))],
    ['is written to by somebody else', (outlet: Outlet) => outlet.handOver()],
  ] as const)('are for others once the connection %s', (_, end) => {
    const make = () => {
      const host = { progressed: () => {}, resumed: () => {} }
      return new Outlet(new Socket(), new FakeClock(), host)
    }
    const outlets = Array.from({ length: 17 }, make)
    const [first] = outlets
    expect(outlets.map((outlet) => outlet.widen()).filter(Boolean)).toHaveLength(16)
    end(first!)
    const next = make()
    expect(next.widen()).toBe(true)
    for (const outlet of [...outlets, next]) end(outlet)
  })
})

describe('a pace', () => {
  it('lets a quantum go at once, and the next when the time for it has come', async () => {
    const { outlet, clock, sent, told, makeLane, turn } = makeOutlet({ maxPayload: 1_000 })
    // 5,000 bytes in 50 ms, and no more than 25,000 saved up.
    outlet.pace = new Pace(100_000)
    outlet.pace.take(25_000, clock.now())
    makeLane(1).give(12_000)
    turn()
    expect(outlet.accepted).toBe(5_000)
    turn()
    expect(outlet.accepted).toBe(5_000)
    expect(clock.waits).toEqual([50])
    await clock.advance(49)
    expect(told).toEqual([])
    await clock.advance(1)
    expect(told).toEqual(['resumed'])
    turn()
    expect(outlet.accepted).toBe(10_000)
    await clock.advance(50)
    turn()
    expect(outlet.accepted).toBe(12_000)
    expect(sent).toHaveLength(12)
    expect(clock.waits).toEqual([20])
  })

  it('waits for nothing where less was sent than was unused, or nothing could be', () => {
    const { outlet, clock, credits, makeLane, turn } = makeOutlet()
    outlet.pace = new Pace(100_000)
    const lane = makeLane(1)
    lane.give(3_000)
    turn()
    expect(clock.armed).toBe(0)
    outlet.pace.take(1e6, clock.now())
    credits.set(1, 0)
    lane.give(10)
    turn()
    expect(clock.armed).toBe(0)
  })

  it('allows no more than there is room for', () => {
    const { outlet, makeLane, turn } = makeOutlet()
    outlet.pace = new Pace(1e9)
    makeLane(1).give(1_000 * KIB)
    turn()
    expect(outlet.backlog).toBeLessThan(HIGH_WATER + 66 * KIB)
    turn()
    expect(outlet.backlog).toBeLessThan(HIGH_WATER + 66 * KIB)
  })

  it('leaves no timer when all lanes are gone', () => {
    const { outlet, clock, makeLane, turn } = makeOutlet()
    outlet.pace = new Pace(1_000)
    outlet.pace.take(1_000, clock.now())
    makeLane(1).give(10_000)
    turn()
    expect(clock.armed).toBe(1)
    outlet.clear()
    expect(clock.armed).toBe(0)
  })
})

describe('the last bytes of a lane', () => {
  it('have left when the sink has taken them, not before: those behind others later', () => {
    const { sink, makeLane, turn } = makeOutlet()
    const [first, second] = [makeLane(1), makeLane(2)]
    first.give(100)
    turn()
    second.give(100)
    turn()
    expect([first.told, second.told]).toEqual([['sent'], ['sent']])
    expect(sink.release()).toBe(100)
    expect([first.told, second.told]).toEqual([['sent', 'left'], ['sent']])
    expect(sink.release()).toBe(100)
    expect(second.told).toEqual(['sent', 'left'])
  })

  it('have left at once where there are none', () => {
    const { outlet, makeLane, turn } = makeOutlet()
    const { lane, told } = makeLane(1)
    outlet.drained(lane)
    expect(told).toEqual([])
    turn()
    expect(told).toEqual(['left'])
    turn()
    expect(told).toEqual(['left'])
  })

  it('are told of once each, whatever a lane does that is told', async () => {
    const uncaught = takeUncaught()
    const { sink, makeLane, turn } = makeOutlet()
    const [first, second] = [makeLane(1), makeLane(2)]
    first.onLeft = () => {
      throw new Error('mine')
    }
    for (const { give } of [first, second]) give(100)
    turn()
    sink.release()
    expect([first.told, second.told]).toEqual([
      ['sent', 'left'],
      ['sent', 'left'],
    ])
    await settle()
    expect(uncaught).toEqual([new Error('mine')])
  })

  it('are lost with the connection: the lane is destroyed with its error, once', () => {
    const { outlet, sink, makeLane, turn } = makeOutlet()
    const [gone, lost] = [makeLane(1), makeLane(2)]
    gone.give(100)
    turn()
    lost.give(100)
    turn()
    sink.release()
    outlet.lose(new AnyTlsError('ERR_CONNECTION_LOST'))
    outlet.lose(new AnyTlsError('ERR_CONNECTION_LOST'))
    expect(gone.told).toEqual(['sent', 'left'])
    expect(lost.told).toEqual(['sent', 'ERR_CONNECTION_LOST'])
    sink.release()
    expect(lost.told).toHaveLength(2)
  })
})

describe('what is lent', () => {
  it('is copied where it has to wait, and its buffers serve others once it has been written', () => {
    const { outlet, machine, makeLane, turn } = makeOutlet()
    makeLane(1).give(10)
    turn()
    const buffer = takeJoinBuffer(10)
    const lent = buffer.subarray(0, 4).fill('a')
    outlet.lends([buffer])
    machine.sendData(2, [lent], 4, 0)
    outlet.write(machine)
    expect(takeJoinBuffer(10)).toBe(buffer)
    expect(outlet.backlog).toBeGreaterThanOrEqual(14)
    // Given back once.
    turn()
    expect(takeJoinBuffer(10)).not.toBe(buffer)
  })

  it('leaves as it was lent although it waited', async () => {
    const { outlet, machine, sink, makeLane, turn } = makeOutlet()
    const chunks: Buffer[] = []
    const write = sink._write.bind(sink)
    sink._write = (chunk, encoding, callback) => {
      chunks.push(chunk)
      write(chunk, encoding, callback)
    }
    makeLane(1).give(1)
    turn()
    const view = Buffer.from('lent')
    outlet.lends([])
    machine.sendData(2, [view], 4, 0)
    outlet.write(machine)
    view.fill('x')
    const own = Buffer.from(' own')
    machine.sendData(2, [own], 4, 0)
    outlet.write(machine)
    sink.release()
    sink.release()
    await settle()
    expect(chunks.slice(1).map(String)).toEqual(['lent', ' own'])
    // Of what is not lent there is no copy.
    expect(chunks[2]).toBe(own)
  })
})

describe('the end', () => {
  it('ends the socket when everything has left', () => {
    const { outlet, sink, makeLane, turn } = makeOutlet()
    makeLane(1).give(100)
    turn()
    outlet.end()
    expect(sink.writableEnded).toBe(false)
    sink.release()
    expect(sink.writableEnded).toBe(true)
  })

  it('writes nothing after the socket was handed over', () => {
    const { outlet, sink, makeLane, turn } = makeOutlet()
    outlet.handOver()
    makeLane(1).give(100)
    turn()
    outlet.end()
    expect([sink.release(), sink.writableLength, sink.writableEnded]).toEqual([0, 0, false])
  })
})
