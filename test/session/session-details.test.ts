// A session as applications see it, on a machine that is a script: what it says of itself, which events it tells, how it
// opens streams and ends.
import { getEventListeners } from 'node:events'
import type { Duplex } from 'node:stream'
import { PassThrough } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import type { MachineEvent } from '../../src/engine/machine.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import { Session } from '../../src/session/session.ts'
import type { SessionEvents, SessionOptions } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { parseScheme } from '../../src/shaping/scheme.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { takeUncaught } from '../support/uncaught.ts'
import { NotedSocket } from './support/noted-socket.ts'
import { ScriptedMachine } from './support/scripted-machine.ts'

const EVENTS = [
  ...['established', 'stream', 'scheme', 'schemeRefused', 'draining', 'streamOpened'],
  ...['streamEnded', 'streamUnanswered', 'ending', 'close'],
] as (keyof SessionEvents)[]

function makeSession(options: Partial<SessionOptions> = {}) {
  const clock = new FakeClock()
  const machine = new ScriptedMachine()
  const duplex: Duplex = options.duplex ?? new PassThrough()
  const session = new Session({ machine, clock, ...options, duplex })
  const told: unknown[][] = []
  for (const event of EVENTS) {
    if (event !== 'stream')
      session.on(event, (...args: unknown[]) => void told.push([event, ...args]))
  }
  onTestFinished(() => session.destroy())
  /** Bytes come, which the machine makes these events of. */
  const receive = async (...events: MachineEvent[]): Promise<void> => {
    machine.received.push(events)
    duplex.emit('data', Buffer.from('x'))
    await settle()
  }
  return { session, machine, duplex, clock, told, receive }
}

describe('what a session says of itself', () => {
  it('is what its machine and its connection are', async () => {
    const { session, machine, receive, clock } = makeSession()
    expect(session.id).toMatch(/^[\da-f-]{36}$/)
    expect(session.id).not.toBe(makeSession().session.id)
    machine.lastAlive = 77
    machine.flowControlled = false
    expect([session.wire, session.lastAlive, session.flowControlled]).toEqual(['v1', 77, false])
    expect([session.established, session.closed, session.user]).toEqual([false, false, undefined])
    await receive({ type: 'established', peer: 'peer/1' })
    expect(session.established).toBe(true)
    session.logIn({ name: 'ada' })
    expect(session.user).toEqual({ name: 'ada' })
    expect(session.bytesPassed).toBe(1)
    expect(clock.armed).toBe(0)
  })

  it('is whether it may open streams and be pinged: as its machine may, while it is open', async () => {
    const { session, machine, receive } = makeSession()
    expect([session.mayOpen, session.pingable]).toEqual([true, true])
    machine.mayOpen = machine.pingable = false
    expect([session.mayOpen, session.pingable]).toEqual([false, false])
    machine.mayOpen = machine.pingable = true
    await receive({ type: 'closed', error: undefined })
    expect([session.mayOpen, session.pingable]).toEqual([false, false])
  })

  it('is where the peer is: by its socket, or by whoever knows better', () => {
    const duplex = new NotedSocket()
    expect(makeSession({ duplex }).session.remoteAddress).toBe('192.0.2.1')
    const known = makeSession({ duplex: new NotedSocket(), remoteAddress: '192.0.2.9' })
    expect(known.session.remoteAddress).toBe('192.0.2.9')
    expect(makeSession().session.remoteAddress).toBeUndefined()
  })

  it('lets a socket hold the process or not, and does nothing to another Duplex', () => {
    const duplex = new NotedSocket()
    const { session } = makeSession({ duplex })
    expect(session.unref()).toBe(session)
    expect(duplex.held).toBe(false)
    expect(session.ref()).toBe(session)
    expect(duplex.held).toBe(true)
    const other = makeSession().session
    expect(other.ref().unref()).toBe(other)
  })
})

describe('what a session tells', () => {
  it('is what its machine tells, each by its name', async () => {
    const { session, told, receive } = makeSession()
    const scheme = parseScheme('stop=1')
    const error = new AnyTlsError('ERR_SCHEME_SYNTAX')
    await receive(
      { type: 'established', peer: 'peer/1' },
      { type: 'scheme', scheme },
      { type: 'scheme-refused', error },
      { type: 'draining' },
    )
    session.openStream().on('error', () => {})
    await receive({ type: 'close', stream: 1, error: new AnyTlsError('ERR_STREAM_OPEN_TIMEOUT') })
    const failure = new AnyTlsError('ERR_PROTOCOL_VIOLATION')
    await receive({ type: 'closed', error: failure })
    session.destroy()
    expect(told).toEqual([
      ...[['established', 'peer/1'], ['scheme', scheme], ['schemeRefused', error], ['draining']],
      ...[['streamOpened'], ['streamUnanswered'], ['streamEnded'], ['ending', failure]],
      ['close', failure],
    ])
  })

  it('reaches every listener whatever another one throws', async () => {
    const uncaught = takeUncaught()
    const { session, receive } = makeSession()
    session.on('draining', () => {
      throw new Error('mine')
    })
    let heard = 0
    session.on('draining', () => (heard += 1))
    await receive({ type: 'draining' })
    expect([heard, uncaught]).toEqual([1, [new Error('mine')]])
  })

  it('of a stream of the peer comes before that is accepted, which it is when all were told', async () => {
    for (const autoAccept of [undefined, true, false]) {
      const { session, machine, receive } = makeSession({ autoAccept })
      let before = -1
      session.on('stream', () => (before = machine.called('acceptStream').length))
      await receive({ type: 'open', stream: 2 })
      expect(before).toBe(0)
      expect(machine.called('acceptStream')).toHaveLength(autoAccept === false ? 0 : 1)
    }
  })

  it('of a stream that nobody takes is nothing: it is reset, with the reason', async () => {
    const { machine, receive, clock, session } = makeSession()
    await receive({ type: 'open', stream: 2 })
    expect(machine.called('resetStream')).toEqual([
      [2, CloseCode.Rejected, 'nobody serves streams here', clock.now()],
    ])
    expect([machine.called('acceptStream'), session.streamCount]).toEqual([[], 0])
  })
})

describe('a stream that is opened', () => {
  it('is counted, and has the priority that is asked for, else that of its request, else 128', () => {
    const { session, machine, told } = makeSession()
    const target = { host: 'example.com', port: 80 }
    const request = { network: 'tcp', target, priority: 9 } as const
    const streams = [
      ...[session.openStream(), session.openStream({ request })],
      ...[session.openStream({ request, priority: 0 }), session.openStream({ priority: 255 })],
    ]
    expect(streams.map(({ priority }) => priority)).toEqual([128, 9, 0, 255])
    expect([session.openedCount, session.streamCount]).toEqual([4, 4])
    expect(told).toEqual(streams.map(() => ['streamOpened']))
    expect(machine.called('openStream')[1]![1]).toBe(request)
  })

  it('is not for this end to accept', async () => {
    const { session, machine } = makeSession()
    session.openStream().accept()
    await settle()
    expect(machine.called('acceptStream')).toEqual([])
  })

  it('is none with a priority that is none', () => {
    const { session } = makeSession()
    for (const priority of [-1, 256, 1.5, NaN]) {
      expect(() => session.openStream({ priority })).toThrow(
        expect.objectContaining({
          code: 'ERR_OPTION_INVALID',
          message: 'a priority is a whole number from 0 to 255',
        }),
      )
    }
    expect([session.openedCount, session.streamCount]).toEqual([0, 0])
  })

  it('is destroyed by its signal with an AbortError that says why, and leaves nothing on the signal', async () => {
    const { session } = makeSession()
    const abort = new AbortController()
    const streams = [0, 1].map(() => session.openStream({ signal: abort.signal }))
    const errors: unknown[] = []
    for (const stream of streams) stream.on('error', (error) => errors.push(error))
    streams[1]!.destroy()
    await settle()
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(1)
    const reason = new Error('no longer wanted')
    abort.abort(reason)
    await settle()
    expect(errors).toEqual([
      expect.objectContaining({
        ...{ name: 'AbortError', code: 'ABORT_ERR', message: 'The operation was aborted' },
        cause: reason,
      }),
    ])
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
  })
})

describe('the end of a session', () => {
  it('with dismiss() tells the peer the words of the error', () => {
    const { session, machine, clock, told } = makeSession()
    const error = new AnyTlsError('ERR_SESSION_CLOSED', 'the account is used up')
    session.dismiss(error)
    expect(machine.called('abort')).toEqual([
      [CloseCode.Graceful, clock.now(), 'the account is used up'],
    ])
    expect(told).toEqual([['close', error]])
  })

  it('with close() is waited for, and again is no error', async () => {
    const { session, machine, duplex } = makeSession()
    machine.answers['close'] = [{ type: 'closed', error: undefined }]
    let over = false
    const closed = session.close().then(() => (over = true))
    await new Promise((resolve) => process.nextTick(resolve))
    expect(over).toBe(false)
    duplex.destroy()
    await closed
    await session.close()
    expect(machine.called('close')).toHaveLength(1)
  })

  it('is asked for by what it is disposed of with', async () => {
    const { session, machine } = makeSession()
    machine.answers['close'] = [{ type: 'closed', error: undefined }]
    await session[Symbol.asyncDispose]()
    expect(session.closed).toBe(true)
  })

  it('destroys a connection that nobody takes over, and leaves one that somebody does', async () => {
    const handover = { cause: 'auth-failed', unread: [], error: undefined } as const
    const alone = makeSession()
    await alone.receive({ type: 'handover', handover })
    expect(alone.duplex.destroyed).toBe(true)
    const given: unknown[] = []
    const taken = makeSession({ onHandover: (what) => void given.push(what) })
    await taken.receive({ type: 'handover', handover })
    expect([taken.duplex.destroyed, given]).toEqual([false, [handover]])
    expect(taken.told).toEqual([['close', undefined]])
    taken.duplex.destroy()
  })

  it('takes no error of a stream to the process that the peer opened and nobody listens to', async () => {
    const uncaught = takeUncaught()
    const { session, receive } = makeSession()
    let served: Stream | undefined
    session.on('stream', (stream) => (served = stream))
    await receive({ type: 'open', stream: 2 })
    served!.destroy(new Error('mine'))
    await settle()
    expect(uncaught).toEqual([])
  })
})
