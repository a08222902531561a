// What a session does with whatever machine it has: bytes in, events out to lanes and to the session, writes, timers, the
// end. The machine is a script, the connection one that a test holds.
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { MachineEvent } from '../../src/engine/machine.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import { SessionCore } from '../../src/session/core.ts'
import type { CoreEvent, CoreOptions } from '../../src/session/core.ts'
import { giveJoinBuffer, takeJoinBuffer } from '../../src/session/join-buffers.ts'
import type { Lane } from '../../src/session/lane.ts'
import { LentReads } from '../../src/session/lent-reads.ts'
import { Pace } from '../../src/session/pace.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { takeUncaught } from '../support/uncaught.ts'
import { ScriptedMachine } from './support/scripted-machine.ts'

/** A connection whose writes wait while it is held, and that is read by a test. */
class HeldEnd extends Duplex {
  held = false
  text = ''
  readonly #waiting: ((error?: Error) => void)[] = []

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error) => void): void {
    this.text += chunk.length > 100 ? `<${chunk.length}>` : String(chunk)
    if (this.held) this.#waiting.push(callback)
    else process.nextTick(callback)
  }

  /** Lets the write go that waits, or fail. */
  async release(error?: Error): Promise<void> {
    this.#waiting.shift()?.(error)
    await settle()
  }
}

function makeCore(options: Partial<CoreOptions> = {}) {
  const clock = new FakeClock()
  const machine = new ScriptedMachine()
  const end = new HeldEnd()
  const lanes = new Map<number, Lane>()
  /** What the session and the sinks of lanes were told, in order. */
  const told: string[] = []
  const events: CoreEvent[] = []
  /** What a sink does when it is told, by what is in `told` then. */
  const reactions: Partial<Record<string, () => void>> = {}
  const tell = (text: string): void => {
    told.push(text)
    reactions[text]?.()
  }
  const attach = (lane: Lane): void => {
    lanes.set(lane.id, lane)
    const about = (name: string) => (): void => tell(`${lane.id} ${name}`)
    lane.attach({
      data: (view) => tell(`${lane.id} data ${Buffer.from(view).toString()}`),
      settle: about('settle'),
      accepted: about('accepted'),
      end: about('end'),
      sent: about('sent'),
      left: about('left'),
      closed: (error) => tell(`${lane.id} closed ${error?.code ?? 'in order'}`),
      destroy: (error) => tell(`${lane.id} destroy ${nameOf(error)}`),
    })
  }
  const core = new SessionCore({ duplex: end, machine, clock, ...options }, (event) => {
    events.push(event)
    if (event.type === 'lane') attach(event.lane)
    const error = 'error' in event ? ` ${nameOf(event.error)}` : ''
    tell(`${event.type}${error}`)
  })
  onTestFinished(() => void end.destroy())
  /** Bytes come, which the machine makes these events of. */
  const receive = async (...given: readonly MachineEvent[]): Promise<void> => {
    machine.received.push([...given])
    end.push('x')
    await settle()
  }
  const open = (): Lane => {
    const lane = core.open(undefined, 128)
    attach(lane)
    return lane
  }
  return { core, machine, end, clock, lanes, told, events, reactions, receive, open }
}

const nameOf = (error: Error | undefined): string =>
  error instanceof AnyTlsError ? error.code : (error?.message ?? 'in order')

const data = (stream: number, text: string): MachineEvent => {
  return { type: 'data', stream, data: Buffer.from(text) }
}

const close = (stream: number, code?: ErrorCode): MachineEvent => {
  return { type: 'close', stream, error: code && new AnyTlsError(code) }
}

const closed = (code?: ErrorCode): MachineEvent => {
  return { type: 'closed', error: code && new AnyTlsError(code) }
}

const ESTABLISHED: MachineEvent = { type: 'established', peer: 'peer/1' }

describe('what comes', () => {
  it('goes to its stream in order; the turn is over for each stream once, before its end', async () => {
    const { receive, told } = makeCore()
    await receive(
      ...([1, 2].map((stream) => ({ type: 'open', stream })) as MachineEvent[]),
      data(1, 'a'),
      data(2, 'b'),
      data(1, 'c'),
      { type: 'end', stream: 1 },
      data(2, 'd'),
    )
    expect(told).toEqual([
      'lane',
      'lane',
      '1 data a',
      '2 data b',
      '1 data c',
      '1 settle',
      '1 end',
      '2 data d',
      '2 settle',
    ])
  })

  it('for streams that are not there is passed over', async () => {
    const { receive, told } = makeCore()
    await receive(
      data(7, 'a'),
      { type: 'accept', stream: 7 },
      { type: 'end', stream: 7 },
      { type: 'credit', stream: 7 },
      close(7),
    )
    expect(told).toEqual([])
  })

  it('counts as unread until the application has taken it', async () => {
    const { receive, lanes, machine, clock } = makeCore()
    await receive({ type: 'open', stream: 1 }, data(1, 'four'), data(1, 'five!'))
    expect(lanes.get(1)!.unread).toBe(9)
    lanes.get(1)!.consumed(4)
    expect(lanes.get(1)!.unread).toBe(5)
    expect(machine.called('consumed')).toEqual([[1, 4, clock.now()]])
  })

  it('is neither accepted nor given credit for in the name of a later stream with the same id', async () => {
    const { receive, lanes, machine, clock } = makeCore()
    await receive({ type: 'open', stream: 1 }, data(1, 'four'))
    const first = lanes.get(1)!
    await receive(close(1))
    await receive({ type: 'open', stream: 1 }, data(1, 'five!'))
    first.accept()
    first.consumed(4)
    expect(machine.called('acceptStream')).toEqual([])
    expect(machine.called('consumed')).toEqual([])
    lanes.get(1)!.accept()
    lanes.get(1)!.consumed(5)
    expect(machine.called('acceptStream')).toEqual([[1, clock.now()]])
    expect(machine.called('consumed')).toEqual([[1, 5, clock.now()]])
  })

  describe('with an id a second time in one chunk, of which the first stream is over already', () => {
    const twice = [{ type: 'open', stream: 1 }, data(1, 'a'), close(1), { type: 'open', stream: 1 }]

    it.each([
      ['accept', (lane: Lane) => lane.accept()],
      ['consumed', (lane: Lane) => lane.consumed(1)],
      ['finish', (lane: Lane) => lane.finish()],
      ['reset', (lane: Lane) => lane.reset(CloseCode.Graceful, '')],
    ])('has what the first does go to nobody: %s', async (_name, act) => {
      for (const when of ['1 data a', '1 settle', 'lane-ended', '1 closed in order']) {
        const { receive, lanes, machine, reactions, core, told } = makeCore()
        reactions[when] = () => act(lanes.get(1)!)
        await receive(...(twice as MachineEvent[]))
        expect(machine.calls.map(([name]) => name)).toEqual(['receive'])
        reactions[when] = undefined
        // The second lives.
        told.length = 0
        await receive(data(1, 'b'))
        expect(told).toEqual(['1 data b', '1 settle'])
        expect(core.size).toBe(1)
        act(lanes.get(1)!)
        expect(machine.calls).toHaveLength(3)
      }
    })

    it('has what the first writes go nowhere', async () => {
      const { receive, lanes, machine, reactions } = makeCore()
      reactions['1 data a'] = () => lanes.get(1)!.write([Buffer.from('for the first')])
      await receive(...(twice as MachineEvent[]))
      expect(machine.called('sendData')).toEqual([])
    })

    it('has each but the last act for itself no more, however often it comes', async () => {
      const { receive, lanes, machine, reactions, clock } = makeCore()
      reactions['lane'] = () => lanes.get(1)!.accept()
      await receive(...(twice as MachineEvent[]), close(1), { type: 'open', stream: 1 })
      expect(machine.called('acceptStream')).toEqual([[1, clock.now()]])
    })
  })

  it('is counted as read of a stream that is over, so that it holds nothing up', async () => {
    const { receive, lanes, end } = makeCore()
    await receive({ type: 'open', stream: 1 }, data(1, 'x'.repeat(17 << 20)), close(1))
    expect(end.isPaused()).toBe(true)
    lanes.get(1)!.consumed(17 << 20)
    await settle()
    expect(end.isPaused()).toBe(false)
  })

  it('tells a stream that is over after all that came on it, and the session that it has ended', async () => {
    const { receive, told, core } = makeCore()
    await receive({ type: 'open', stream: 1 }, { type: 'open', stream: 2 })
    expect(core.size).toBe(2)
    told.length = 0
    await receive(data(1, 'a'), close(1), data(2, 'b'), close(2, 'ERR_STREAM_RESET'))
    expect(told).toEqual([
      ...['1 data a', '1 settle', 'lane-ended', '1 closed in order'],
      ...['2 data b', '2 settle', 'lane-ended', '2 closed ERR_STREAM_RESET'],
    ])
    expect(core.size).toBe(0)
  })

  it('tells the session of a stream that was not answered, before that ends', async () => {
    const { receive, told, open } = makeCore()
    open()
    await receive(close(1, 'ERR_STREAM_OPEN_TIMEOUT'))
    expect(told).toEqual([...['lane-unanswered', 'lane-ended', '1 closed ERR_STREAM_OPEN_TIMEOUT']])
  })

  it('has what a listener causes in the middle handled behind the rest, and a stream settled for it', async () => {
    const { receive, told, lanes, machine, reactions } = makeCore()
    await receive({ type: 'open', stream: 1 }, { type: 'open', stream: 2 })
    told.length = 0
    machine.answers['finishStream'] = [data(2, 'late'), close(1)]
    reactions['1 data a'] = () => lanes.get(1)!.finish()
    await receive(data(1, 'a'), data(2, 'b'))
    expect(told).toEqual([
      ...['1 data a', '2 data b', '1 settle', '2 settle'],
      ...['2 data late', 'lane-ended', '1 closed in order', '2 settle', '1 left'],
    ])
    // It is handled once.
    told.length = 0
    await receive(data(2, 'more'))
    expect(told).toEqual(['2 data more', '2 settle'])
  })

  it('is nobody else’s affair when a listener throws', async () => {
    const uncaught = takeUncaught()
    const { receive, told, reactions } = makeCore()
    for (const text of ['lane', '1 data a', '1 settle', '1 closed in order', 'lane-ended']) {
      reactions[text] = () => {
        throw new Error(text)
      }
    }
    await receive({ type: 'open', stream: 1 }, data(1, 'a'), data(1, 'b'), close(1))
    expect(told).toEqual([
      ...['lane', '1 data a', '1 data b', '1 settle', 'lane-ended', '1 closed in order'],
    ])
    expect(uncaught).toHaveLength(5)
  })

  it('is handled no further once a listener has destroyed the session', async () => {
    const { receive, told, core, reactions } = makeCore()
    reactions['1 data a'] = () => core.destroy(undefined)
    await receive({ type: 'open', stream: 1 }, data(1, 'a'), data(1, 'b'), { type: 'draining' })
    expect(told.slice(0, 3)).toEqual(['lane', '1 data a', '1 destroy in order'])
    expect(told).not.toContain('1 data b')
    expect(told).not.toContain('draining')
  })

  it('passes on what is of the session: schemes, draining, acceptance', async () => {
    const { receive, told, open } = makeCore()
    open()
    await receive(
      { type: 'accept', stream: 1 },
      { type: 'scheme-refused', error: new AnyTlsError('ERR_SCHEME_SYNTAX') },
      { type: 'draining' },
    )
    expect(told).toEqual(['1 accepted', 'scheme-refused ERR_SCHEME_SYNTAX', 'draining'])
  })

  it('D47: goes on in later rounds of the loop, and all of it is handled before the end of the peer', async () => {
    const { machine, end } = makeCore()
    machine.hasMore = true
    machine.received.push([], [])
    end.push('abc')
    await settle()
    const receives = machine.called('receive').map(([text]) => text)
    expect(receives.slice(0, 3)).toEqual(['abc', '', ''])
    let left = 3
    Object.defineProperty(machine, 'hasMore', { get: () => left > 0 })
    const receive = machine.receive.bind(machine)
    machine.receive = (...args) => {
      left -= 1
      return receive(...args)
    }
    end.push(null)
    end.read(0)
    await settle()
    expect(left).toBe(0)
    expect(machine.calls.at(-1)![0]).toBe('endOfInput')
  })

  it.each(['error', 'close'])(
    'is all handled before the session is lost with an %s',
    async (how) => {
      const { machine, end, told, receive } = makeCore()
      await receive({ type: 'open', stream: 1 })
      let left = 2
      Object.defineProperty(machine, 'hasMore', { get: () => left > 0 })
      machine.received.push([data(1, 'a')], [data(1, 'b')])
      const inner = machine.receive.bind(machine)
      machine.receive = (...args) => {
        left -= 1
        return inner(...args)
      }
      if (how === 'error') end.destroy(new Error('cable cut'))
      else end.destroy()
      await settle()
      expect(told.slice(1)).toEqual([
        ...['1 data a', '1 settle', '1 data b', '1 settle'],
        ...['1 closed ERR_CONNECTION_LOST', 'close ERR_CONNECTION_LOST'],
      ])
    },
  )
})

it('what comes of a connection that lends its reads is lent to streams', () => {
  const end = new HeldEnd()
  expect(makeCore({ duplex: end }).core.readsLent).toBe(false)
  new LentReads('tcp').of(end as unknown as Socket)
  expect(makeCore({ duplex: end }).core.readsLent).toBe(true)
})

describe('the machine', () => {
  it('D18: may be chosen by the first bytes, once, and handles them then', async () => {
    const other = new ScriptedMachine()
    const asked: string[] = []
    const { core, machine, end } = makeCore({
      chooseMachine: (bytes) => {
        asked.push(String(bytes))
        return other
      },
    })
    expect(core.machine).toBe(machine)
    end.push('first')
    await settle()
    end.push('second')
    await settle()
    expect(asked).toEqual(['first'])
    expect(core.machine).toBe(other)
    expect(machine.calls).toEqual([])
    expect(other.called('receive').map(([text]) => text)).toEqual(['first', 'second'])
  })

  it('D18: stays where none is chosen', async () => {
    const { core, machine, end } = makeCore({ chooseMachine: () => undefined })
    end.push('first')
    await settle()
    expect(core.machine).toBe(machine)
    expect(machine.called('receive')).toHaveLength(1)
  })

  it('is called when its deadline has come, and asked for the next', async () => {
    const { machine, clock } = makeCore()
    machine.deadline = clock.now() + 100
    await settle()
    expect(clock.waits).toEqual([100])
    machine.deadline = clock.now() + 250
    await clock.advance(99)
    expect(machine.called('timeout')).toEqual([])
    await clock.advance(1)
    expect(machine.called('timeout')).toEqual([[clock.now()]])
    expect(clock.waits).toEqual([150])
  })

  it('has one timer, made anew for a deadline that comes sooner alone', async () => {
    const { machine, clock, receive } = makeCore()
    machine.deadline = clock.now() + 100
    await receive()
    machine.deadline = clock.now() + 500
    await receive()
    expect(clock.waits).toEqual([100])
    machine.deadline = clock.now() + 50
    await receive()
    expect(clock.waits).toEqual([50])
  })

  it('has what it says written in the same turn, also what a timeout made it say', async () => {
    const { machine, clock, end } = makeCore()
    machine.deadline = clock.now() + 10
    machine.timeout = () => {
      machine.deadline = Infinity
      machine.say('late')
      return []
    }
    machine.say('hello ')
    await settle()
    expect(end.text).toBe('hello ')
    await clock.advance(10)
    expect(end.text).toBe('hello late')
  })

  it('hears that the peer takes bytes when 64 KiB were under way and none had left for 100 ms', async () => {
    const { machine, end, clock } = makeCore()
    end.held = true
    // A view that waits counts 256 more.
    for (const size of [10, 65_510 - 257, 10, 65_520 - 257, 1, 65_520])
      machine.say(Buffer.alloc(size))
    await settle()
    const told: boolean[] = []
    for (const wait of [100, 99, 100, 100, 100, 100]) {
      const before = machine.called('progress').length
      await clock.advance(wait)
      await end.release()
      told.push(machine.called('progress').length > before)
    }
    expect(told).toEqual([true, false, true, true, true, true])
    expect(machine.called('progress').at(-1)).toEqual([clock.now()])
  })

  it('hears nothing of that for less, however long it waits', async () => {
    const { machine, end, clock } = makeCore()
    end.held = true
    for (const size of [1, 65_519]) machine.say(Buffer.alloc(size))
    await settle()
    await clock.advance(10)
    await end.release()
    await clock.advance(10_000)
    await end.release()
    expect(machine.called('progress')).toEqual([])
  })

  it('hears nothing of that when a write fails', async () => {
    const { machine, end, clock } = makeCore()
    end.held = true
    for (const size of [10, 70_000]) machine.say(Buffer.alloc(size))
    await settle()
    await clock.advance(1_000)
    await end.release(new Error('write EPIPE'))
    expect(end.errored).not.toBeNull()
    expect(machine.called('progress')).toEqual([])
  })
})

it('the peer is read on once enough of 2 MiB that were under way has left', async () => {
  const { machine, end, receive } = makeCore()
  end.held = true
  for (const size of [1, 2 * 1_048_576]) machine.say(Buffer.alloc(size))
  await receive()
  expect(end.isPaused()).toBe(true)
  await end.release()
  expect(end.isPaused()).toBe(true)
  await end.release()
  expect(end.isPaused()).toBe(false)
})

describe('what is sent', () => {
  it('leaves in the turn after the tick that wrote it, as one', async () => {
    const { open, machine, end } = makeCore()
    const lane = open()
    lane.write([Buffer.from('a')])
    lane.write([Buffer.from('b')])
    expect(machine.called('sendData')).toEqual([])
    await settle()
    expect(machine.called('sendData')).toEqual([[1, 2]])
    expect(end.text).toBe('ab')
  })

  it('waits for credit, and leaves when that comes', async () => {
    const { open, machine, receive, end, told } = makeCore()
    const lane = open()
    machine.creditOf = () => 0
    lane.write([Buffer.from('abc')])
    await settle()
    expect(end.text).toBe('')
    machine.creditOf = () => 100
    await receive({ type: 'credit', stream: 1 })
    expect(end.text).toBe('abc')
    expect(told).toEqual(['1 sent', '1 left'])
    await receive({ type: 'credit', stream: 1 })
    expect(machine.called('sendData')).toHaveLength(1)
  })

  it('leaves before push returns where it is lent, and in the turn that is under way else', async () => {
    const { open, end, receive, reactions, told } = makeCore()
    const lane = open()
    await settle()
    for (const text of ['lent', ' once', ' more']) {
      const before = end.text
      lane.writeLent(Buffer.from(text))
      expect(end.text).toBe(`${before}${text}`)
      await settle()
    }
    told.length = 0
    reactions['1 data a'] = () => {
      const view = Buffer.from(' again')
      lane.writeLent(view)
      expect(end.text).toBe('lent once more')
      view.fill('x')
    }
    await receive(data(1, 'a'), data(1, 'b'))
    expect(end.text).toBe('lent once more again')
    expect(told.slice(0, 3)).toEqual(['1 data a', '1 data b', '1 settle'])
  })

  it('leaves as it was lent although it waited for credit, and for the socket then', async () => {
    const { open, end, machine, receive } = makeCore()
    end.held = true
    machine.say('first ')
    const lane = open()
    await settle()
    machine.creditOf = () => 0
    const buffer = takeJoinBuffer(1)
    giveJoinBuffer(buffer)
    lane.writeLent(Buffer.from('lent'))
    machine.creditOf = () => 100
    await receive({ type: 'credit', stream: 1 })
    // Whoever takes the buffer that it waited in for credit does as it likes with it.
    expect(takeJoinBuffer(1)).toBe(buffer)
    buffer.fill('x')
    await end.release()
    expect(end.text).toBe('first lent')
  })

  it('waits at 256 KiB under way, and goes on as that leaves', async () => {
    const { open, machine, end } = makeCore()
    end.held = true
    const lane = open()
    lane.write([Buffer.alloc(600_000)])
    await settle()
    const sent = (): number =>
      machine.called('sendData').reduce((sum, [, bytes]) => sum + Number(bytes), 0)
    expect(sent()).toBeGreaterThanOrEqual(262_144)
    expect(sent()).toBeLessThan(262_144 + 66_000)
    for (let count = 0; count < 20; count += 1) await end.release()
    expect(sent()).toBe(600_000)
  })

  it('keeps its pace, and what comes as well', async () => {
    const { core, open, machine, clock, receive, end } = makeCore()
    core.pace({ send: new Pace(100_000), receive: new Pace(100) })
    machine.maxPayload = 1_000
    const lane = open()
    lane.write([Buffer.alloc(40_000)])
    await settle()
    await clock.advance(0)
    const first = machine.called('sendData').length
    await clock.advance(1_000)
    expect(machine.called('sendData').length).toBeGreaterThan(first)
    end.push('y'.repeat(125))
    await settle()
    expect(machine.called('setReading')).toEqual([[false, clock.now()]])
    await clock.advance(1_000)
    expect(machine.called('setReading').map(([reading]) => reading)).toEqual([false, true])
    await receive()
    expect(core.bytesPassed).toBe(126 + 40_000)
  })
})

describe('what a lane asks', () => {
  it('goes to the machine with the time, and what that says is written', async () => {
    const { open, machine, clock, end } = makeCore()
    const lane = open()
    await clock.advance(7)
    const now = clock.now()
    lane.accept()
    lane.finish()
    lane.reset(CloseCode.Rejected, 'no')
    machine.say('heard')
    await settle()
    expect(machine.calls.slice(1)).toEqual([
      ['acceptStream', 1, now],
      ['finishStream', 1, now],
      ['resetStream', 1, CloseCode.Rejected, 'no', now],
    ])
    expect(end.text).toBe('heard')
  })

  it('with reset() ends it here at once, and the session is told', () => {
    const { open, core, told, machine } = makeCore()
    const lane = open()
    expect(machine.called('openStream')).toHaveLength(1)
    lane.reset(CloseCode.Graceful, '')
    expect([core.size, told]).toEqual([0, ['lane-ended']])
    lane.reset(CloseCode.Graceful, '')
    expect(told).toEqual(['lane-ended'])
  })

  it('about one that is unread holds up the connection, and is forgotten when it is dropped', async () => {
    const { receive, machine, lanes } = makeCore()
    machine.flowControlled = false
    const chunk = 'x'.repeat(262_144)
    await receive({ type: 'open', stream: 1 }, data(1, chunk))
    expect(machine.called('setReading').map(([reading]) => reading)).toEqual([false])
    lanes.get(1)!.drop()
    await settle()
    expect(machine.called('setReading').map(([reading]) => reading)).toEqual([false, true])
  })

  it('that is not read for stallTimeout ends it', async () => {
    const { receive, machine, clock, told, end } = makeCore({ stallTimeout: 5_000 })
    machine.flowControlled = false
    await receive({ type: 'open', stream: 1 }, data(1, 'x'.repeat(262_144)))
    told.length = 0
    expect(end.isPaused()).toBe(true)
    await clock.advance(4_999)
    expect(told).toEqual([])
    await clock.advance(1)
    expect(told).toEqual(['1 destroy ERR_STREAM_STALLED'])
    expect(end.isPaused()).toBe(false)
  })

  it('that is not read has one timer, whatever else happens', async () => {
    const { receive, machine, clock, lanes } = makeCore()
    machine.flowControlled = false
    await receive({ type: 'open', stream: 1 }, data(1, 'x'.repeat(300_000)))
    expect(clock.waits).toEqual([20_000])
    lanes.get(1)!.consumed(1)
    await settle()
    expect(clock.waits).toEqual([20_000])
  })

  it('that is not read for 20 s ends it by default', async () => {
    const { receive, machine, clock, told } = makeCore()
    machine.flowControlled = false
    await receive({ type: 'open', stream: 1 }, data(1, 'x'.repeat(262_144)))
    await clock.advance(19_999)
    expect(told).not.toContain('1 destroy ERR_STREAM_STALLED')
    await clock.advance(1)
    expect(told).toContain('1 destroy ERR_STREAM_STALLED')
  })
})

describe('pings', () => {
  it('are answered together, with the round trip', async () => {
    const { core, receive, machine, clock } = makeCore()
    await receive(ESTABLISHED)
    const pings = [core.ping(), core.ping()]
    expect(machine.called('ping')).toEqual([[clock.now()], [clock.now()]])
    await receive({ type: 'pong', roundTrip: 12 })
    expect(await Promise.all(pings)).toEqual([12, 12])
  })

  it('that were asked for before the peer had answered are sent then', async () => {
    const { core, receive, machine } = makeCore()
    const pinged = core.ping()
    await receive(ESTABLISHED)
    expect(machine.called('ping')).toHaveLength(2)
    await receive({ type: 'pong', roundTrip: 5 })
    expect(await pinged).toBe(5)
  })

  it('are none of the peer’s that has not been asked for one', async () => {
    const { receive, machine, core } = makeCore()
    await receive(ESTABLISHED)
    expect(core.established).toBe(true)
    expect(machine.called('ping')).toEqual([])
  })

  it('are refused where the wire has none, before and after that is known', async () => {
    const { core, receive, machine } = makeCore()
    machine.pingable = false
    const early = expect(core.ping()).rejects.toMatchObject({ code: 'ERR_PING_UNSUPPORTED' })
    await receive(ESTABLISHED)
    await early
    const asked = machine.called('ping').length
    await expect(core.ping()).rejects.toMatchObject({ code: 'ERR_PING_UNSUPPORTED' })
    expect(machine.called('ping')).toHaveLength(asked)
  })

  it('are refused once the session ends', async () => {
    const { core, receive } = makeCore()
    await receive(ESTABLISHED)
    const pinged = expect(core.ping()).rejects.toMatchObject({ code: 'ERR_PROTOCOL_VIOLATION' })
    await receive(closed('ERR_PROTOCOL_VIOLATION'))
    await pinged
    await expect(core.ping()).rejects.toMatchObject({ code: 'ERR_SESSION_CLOSED' })
  })
})

describe('the end that the machine tells', () => {
  it('ends streams and pings, lets what is written leave, ends the connection and waits for the peer', async () => {
    const { core, receive, told, end, machine, open } = makeCore()
    open()
    end.held = true
    machine.say('before ')
    await settle()
    machine.say('the end')
    await receive(closed())
    expect(told).toEqual(['1 closed ERR_SESSION_CLOSED', 'ending in order'])
    expect([core.state, core.size]).toEqual(['closing', 0])
    expect(() => core.open(undefined, 128)).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_CLOSED' }),
    )
    expect(end.writableEnded).toBe(false)
    await end.release()
    expect(end.text).toBe('before the end')
    await end.release()
    expect([end.writableFinished, end.destroyed]).toEqual([true, false])
    expect(told).toHaveLength(2)
    end.push(null)
    await settle()
    expect(told.at(-1)).toBe('close in order')
    expect(core.state).toBe('closed')
  })

  it.each([
    ['in order', undefined, 15_000],
    ['with an error', 'ERR_PROTOCOL_VIOLATION', 1_000],
  ] as const)(
    '%s waits for the peer that long after each time that bytes left',
    async (_how, code, patience) => {
      const { receive, told, end, machine, clock } = makeCore()
      end.held = true
      machine.say('one')
      machine.say('two')
      await receive(closed(code))
      await clock.advance(patience - 1)
      await end.release()
      await clock.advance(patience - 1)
      await end.release()
      await clock.advance(patience - 1)
      expect(end.destroyed).toBe(false)
      await clock.advance(1)
      expect(end.destroyed).toBe(true)
      expect(told.at(-1)).toBe(`close ${code ?? 'in order'}`)
      expect(clock.armed).toBe(0)
    },
  )

  it('is one: what the machine, the peer or the line says after it changes nothing', async () => {
    const { core, receive, told, end, clock } = makeCore()
    await receive(closed('ERR_PROTOCOL_VIOLATION'))
    await receive(closed('ERR_PING_TIMEOUT'), data(1, 'a'))
    core.close()
    end.destroy(new Error('cable cut'))
    await settle()
    core.close()
    core.destroy(new Error('again'))
    expect(told).toEqual(['ending ERR_PROTOCOL_VIOLATION', 'close ERR_PROTOCOL_VIOLATION'])
    expect(clock.armed).toBe(0)
  })

  it('is heard of once, also when the machine is asked to close after it', async () => {
    const { core, receive, told, machine } = makeCore()
    await receive(closed())
    machine.answers['close'] = [closed('ERR_PING_TIMEOUT')]
    core.close()
    await settle()
    expect(told).toEqual(['ending in order'])
  })

  it('leaves what the machine has not handled by then', async () => {
    const { receive, machine, end, told } = makeCore()
    machine.hasMore = true
    await receive(closed())
    const before = machine.called('receive').length
    await settle()
    end.destroy(new Error('cable cut'))
    await settle()
    expect(machine.called('receive')).toHaveLength(before)
    expect(told).toEqual(['ending in order', 'close in order'])
  })

  it('drops what still comes, and reads it for the end of the peer to be seen', async () => {
    const { receive, end, machine } = makeCore()
    await receive(closed())
    const before = machine.called('receive').length
    end.push('whatever')
    await settle()
    expect(machine.called('receive')).toHaveLength(before)
    expect(end.readableLength).toBe(0)
  })

  it('settles what came in the same turn before it', async () => {
    const { receive, told } = makeCore()
    await receive({ type: 'open', stream: 1 }, data(1, 'a'), closed())
    expect(told).toEqual([
      ...['lane', '1 data a', '1 settle', '1 closed ERR_SESSION_CLOSED', 'ending in order'],
    ])
  })

  it('is asked for with close()', async () => {
    const { core, machine, clock, told } = makeCore()
    machine.answers['close'] = [closed()]
    core.close()
    await settle()
    expect(machine.called('close')).toEqual([[clock.now()]])
    expect(told).toEqual(['ending in order'])
  })
})

describe('a session that is destroyed', () => {
  it('tells the peer why, its streams and its owner, and destroys the connection where nothing is under way', () => {
    const { core, machine, open, told, end, clock } = makeCore()
    open()
    const failure = new Error('enough')
    core.destroy(failure, 'words')
    expect(machine.called('abort')).toEqual([[CloseCode.Graceful, clock.now(), 'words']])
    expect(told).toEqual(['1 destroy enough', '1 closed ERR_SESSION_CLOSED', 'close enough'])
    expect(end.destroyed).toBe(true)
    expect(core.state).toBe('closed')
    expect(clock.armed).toBe(0)
  })

  it('lets what has begun to leave leave, and destroys the connection then', async () => {
    const { core, machine, end, clock, told } = makeCore()
    end.held = true
    machine.say('under way')
    await settle()
    machine.abort = () => {
      machine.say(', over')
      return []
    }
    core.destroy(undefined)
    expect(told).toEqual(['close in order'])
    expect(end.destroyed).toBe(false)
    await end.release()
    expect(end.destroyed).toBe(false)
    await end.release()
    expect([end.text, end.destroyed, clock.armed]).toEqual(['under way, over', true, 0])
  })

  it('is over: the machine hears neither of what leaves then, nor of being closed or destroyed again', async () => {
    const { core, machine, end, told } = makeCore()
    end.held = true
    for (const size of [1, 1, 200_000]) machine.say(Buffer.alloc(size))
    await settle()
    core.destroy(undefined)
    const before = machine.calls.length
    await end.release()
    core.close()
    core.destroy(undefined)
    expect(machine.calls.slice(before)).toEqual([])
    expect(told).toEqual(['close in order'])
  })

  it('says why it was destroyed in what its pings are refused with', async () => {
    const { core } = makeCore()
    const failure = new Error('enough')
    const refused = expect(core.ping()).rejects.toMatchObject({
      code: 'ERR_SESSION_CLOSED',
      cause: failure,
    })
    core.destroy(failure)
    await refused
  })

  it('gives it a second for that', async () => {
    const { core, machine, end, clock } = makeCore()
    end.held = true
    machine.say('under way')
    await settle()
    core.destroy(undefined)
    await clock.advance(999)
    expect(end.destroyed).toBe(false)
    await clock.advance(1)
    expect(end.destroyed).toBe(true)
  })

  it('hands nothing on of what still comes, and reports no error of the line any more', async () => {
    const { core, machine, end, told } = makeCore()
    end.held = true
    machine.say('under way')
    await settle()
    core.destroy(undefined)
    end.push('too late')
    await settle()
    expect([machine.called('receive'), end.readableLength]).toEqual([[], 0])
    end.destroy(new Error('cable cut'))
    await settle()
    expect(told).toEqual(['close in order'])
  })

  it('has the streams whose last bytes had not left destroyed with it', async () => {
    const { core, open, end, told } = makeCore()
    end.held = true
    const lane = open()
    lane.write([Buffer.from('last')])
    await settle()
    lane.finish()
    await settle()
    told.length = 0
    core.destroy(new Error('enough'))
    expect(told).toContain('1 destroy ERR_SESSION_CLOSED')
    await end.release()
    expect(told).not.toContain('1 left')
  })
})

describe('a session that is handed over', () => {
  it('ends its streams, leaves the connection paused and alone, and tells who takes it before its close', async () => {
    const { core, receive, told, end, machine, clock, events } = makeCore()
    machine.deadline = clock.now() + 100
    await receive({ type: 'open', stream: 1 })
    told.length = 0
    const error = new AnyTlsError('ERR_PROTOCOL_VIOLATION')
    const handover = { cause: 'violation', unread: [Buffer.from('GET')], error } as const
    machine.say('never')
    await receive(data(1, 'a'), { type: 'handover', handover })
    expect(told).toEqual([
      ...['1 data a', '1 settle', '1 closed ERR_PROTOCOL_VIOLATION'],
      ...['handover', 'close ERR_PROTOCOL_VIOLATION'],
    ])
    expect(events.at(-2)).toEqual({ type: 'handover', handover })
    expect([core.state, end.isPaused(), end.destroyed, end.text]).toEqual([
      ...['closed', true, false, ''],
    ])
    expect(clock.armed).toBe(0)
    const [untouched] = [new HeldEnd()]
    for (const event of ['data', 'end', 'error', 'close']) {
      expect(end.listenerCount(event), event).toBe(untouched.listenerCount(event))
    }
  })
})

it('a session over a connection that is gone already tells so once whoever made it can listen', async () => {
  const gone = new HeldEnd()
  gone.destroy()
  await settle()
  const { told, clock } = makeCore({ duplex: gone })
  expect(told).toEqual([])
  await settle()
  expect(told).toEqual(['close ERR_CONNECTION_LOST'])
  expect(clock.armed).toBe(0)
})

it('a session over such a connection that is destroyed before that is over once', async () => {
  const gone = new HeldEnd()
  gone.destroy()
  await settle()
  const { core, told } = makeCore({ duplex: gone })
  core.destroy(undefined)
  await settle()
  expect(told).toEqual(['close in order'])
})

it('a stream that is opened by a promise of this tick leaves with what is written on it then', async () => {
  const { core, machine, end } = makeCore()
  machine.openStream = () => {
    machine.say('open ')
    return 1
  }
  const lane = core.open(undefined, 128)
  await Promise.resolve()
  lane.write([Buffer.from('and written')])
  await settle()
  expect(end.text).toBe('open and written')
})
