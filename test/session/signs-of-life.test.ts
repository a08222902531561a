// When a peer is asked whether it is still there, when it is doubted, and what its streams are told.
import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import type { Session } from '../../src/session/session.ts'
import { SignsOfLife } from '../../src/session/signs-of-life.ts'
import type { Stream } from '../../src/session/stream.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

/** A session that answers nothing until it is told to. */
class QuietSession {
  pingable = true
  streamCount = 1
  lastAlive: number
  /** When it was asked, since the start. */
  readonly asked: number[] = []
  readonly destroyed: unknown[] = []
  readonly #clock: FakeClock
  readonly #start: number
  #settle: { resolve: (time: number) => void; reject: (error: Error) => void }[] = []

  constructor(clock: FakeClock) {
    this.#clock = clock
    this.#start = clock.now()
    this.lastAlive = clock.now()
  }

  ping(): Promise<number> {
    this.asked.push(this.#clock.now() - this.#start)
    return new Promise((resolve, reject) => this.#settle.push({ resolve, reject }))
  }

  destroy(error: unknown): void {
    this.destroyed.push(error)
  }

  /** Something comes from the peer, the answer too if there was a question. */
  async show(): Promise<void> {
    this.lastAlive = this.#clock.now()
    for (const { resolve } of this.#settle.splice(0)) resolve(1)
    await settle()
  }

  async end(): Promise<void> {
    for (const { reject } of this.#settle.splice(0)) reject(new Error('over'))
    await settle()
  }
}

function makeSigns() {
  const clock = new FakeClock()
  const session = new QuietSession(clock)
  const times = { silence: 2_500, probeTimeout: 2_000 }
  const signs = new SignsOfLife(session as unknown as Session, {
    clock,
    silence: () => times.silence,
    probeTimeout: () => times.probeTimeout,
  })
  const silent: string[] = []
  /** A stream is opened. */
  const expectOn = (name: string): EventEmitter => {
    const stream = new EventEmitter()
    stream.on('silent', () => silent.push(name))
    signs.expect(stream as unknown as Stream)
    return stream
  }
  return { clock, session, times, signs, silent, expectOn }
}

describe('a peer', () => {
  it('has proven itself while it was heard of lately, or where it cannot be asked', async () => {
    const { signs, session, clock } = makeSigns()
    await clock.advance(100)
    expect([signs.isProven(99), signs.isProven(100)]).toEqual([false, true])
    session.pingable = false
    expect(signs.isProven(99)).toBe(true)
  })

  it('is doubted until it shows itself, and has proven nothing then', async () => {
    const { signs, session, clock } = makeSigns()
    expect(signs.isDoubted).toBe(false)
    signs.doubt()
    expect(signs.isDoubted).toBe(true)
    for (const pingable of [true, false]) {
      session.pingable = pingable
      expect(signs.isProven(1e9)).toBe(false)
    }
    await clock.advance(1)
    await session.show()
    expect(signs.isDoubted).toBe(false)
    expect(signs.isProven(0)).toBe(true)
  })

  it('was busy when it was last heard of, or a stream was opened', async () => {
    const { signs, session, clock, expectOn } = makeSigns()
    expect(signs.lastBusy).toBe(session.lastAlive)
    await clock.advance(10)
    expectOn('one')
    expect(signs.lastBusy).toBe(clock.now())
    const opened = clock.now()
    await clock.advance(10)
    expect(signs.lastBusy).toBe(opened)
    await session.show()
    expect(signs.lastBusy).toBe(clock.now())
  })
})

describe('the question', () => {
  it('is one at a time, and answered with yes when the peer shows itself', async () => {
    const { signs, session, clock } = makeSigns()
    const [one, other] = [signs.ask(), signs.ask()]
    expect(session.asked).toEqual([0])
    await session.show()
    expect(await Promise.all([one, other])).toEqual([true, true])
    expect([clock.armed, signs.isDoubted]).toEqual([0, false])
    // And again later.
    const again = signs.ask()
    expect(session.asked).toHaveLength(2)
    await session.show()
    expect(await again).toBe(true)
  })

  it('is answered with no after its time, and the peer is doubted; a session with streams is left alone', async () => {
    const { signs, session, clock } = makeSigns()
    const asked = signs.ask()
    let answer: boolean | undefined
    void asked.then((alive) => (answer = alive))
    await clock.advance(1_999)
    expect(answer).toBeUndefined()
    await clock.advance(1)
    expect([answer, signs.isDoubted, session.destroyed]).toEqual([false, true, []])
  })

  it('ends an idle session that leaves it without an answer', async () => {
    const { signs, session, clock } = makeSigns()
    session.streamCount = 0
    const asked = signs.ask()
    await clock.advance(2_000)
    expect(await asked).toBe(false)
    expect(session.destroyed).toEqual([new AnyTlsError('ERR_PING_TIMEOUT')])
  })

  it('is answered with no when the session ends', async () => {
    const { signs, session, clock } = makeSigns()
    const asked = signs.ask()
    await session.end()
    expect(await asked).toBe(false)
    expect(clock.armed).toBe(0)
  })

  it('has the time that is known when it is asked', async () => {
    const { signs, times, clock } = makeSigns()
    times.probeTimeout = 500
    const asked = signs.ask()
    await clock.advance(500)
    expect(await asked).toBe(false)
  })
})

describe('a stream that waits', () => {
  it('has the peer asked when nothing was heard for so long, and is told when that is not answered', async () => {
    const { session, clock, silent, signs, expectOn } = makeSigns()
    expectOn('one')
    await clock.advance(2_499)
    expect([session.asked, signs.isDoubted]).toEqual([[], false])
    await clock.advance(1)
    expect([session.asked, signs.isDoubted]).toEqual([[2_500], true])
    await clock.advance(1_999)
    expect(silent).toEqual([])
    await clock.advance(1)
    expect(silent).toEqual(['one'])
    expect(clock.armed).toBe(0)
  })

  it('is told nothing when that is answered, or when it was accepted or over meanwhile', async () => {
    const { session, clock, silent, expectOn } = makeSigns()
    const answered = expectOn('one')
    await clock.advance(2_600)
    await session.show()
    await clock.advance(10_000)
    expect(silent).toEqual([])
    answered.emit('accept')
    const [accepted, over] = [expectOn('accepted'), expectOn('over')]
    expectOn('waits')
    await clock.advance(2_500)
    accepted.emit('accept')
    over.emit('close')
    await clock.advance(2_000)
    expect(silent).toEqual(['waits'])
  })

  it('has no question asked when it was accepted in time, and all is quiet by then', async () => {
    const { session, clock, expectOn, signs } = makeSigns()
    const stream = expectOn('one')
    await clock.advance(10)
    session.lastAlive = clock.now()
    stream.emit('accept')
    await clock.advance(60_000)
    expect(session.asked).toEqual([])
    expect(signs.isDoubted).toBe(false)
    expect(clock.armed).toBe(0)
    // The next one is watched again.
    expectOn('two')
    await clock.advance(2_500)
    expect(session.asked).toHaveLength(1)
  })

  it('has one asked that was given up without a word of the peer', async () => {
    const { session, clock, expectOn } = makeSigns()
    await clock.advance(10)
    const stream = expectOn('one')
    stream.emit('close')
    await clock.advance(2_500)
    expect(session.asked).toEqual([2_510])
  })

  it('puts the question off by what the peer says meanwhile, once for each', async () => {
    const { session, clock, silent, expectOn } = makeSigns()
    expectOn('one')
    await clock.advance(1_000)
    session.lastAlive = clock.now()
    await clock.advance(2_499)
    expect(session.asked).toEqual([])
    await clock.advance(1)
    expect(session.asked).toEqual([3_500])
    await clock.advance(2_000)
    expect(silent).toEqual(['one'])
  })

  it('is asked for by the first that waits, however many came after it', async () => {
    const { session, clock, silent, expectOn } = makeSigns()
    expectOn('one')
    await clock.advance(2_000)
    expectOn('two')
    await clock.advance(500)
    expect(session.asked).toEqual([2_500])
    await clock.advance(2_000)
    expect(silent).toEqual(['one', 'two'])
  })

  it('has the question asked once; one that comes after it has its own', async () => {
    const { session, clock, expectOn } = makeSigns()
    expectOn('one')
    await clock.advance(2_500)
    await session.show()
    await clock.advance(10_000)
    expect(session.asked).toEqual([2_500])
    expectOn('two')
    await clock.advance(2_500)
    expect(session.asked).toEqual([2_500, 15_000])
  })

  it('is told nothing where nothing can be asked; new streams go elsewhere', async () => {
    const { session, clock, silent, signs, expectOn } = makeSigns()
    session.pingable = false
    expectOn('one')
    await clock.advance(60_000)
    expect([session.asked, silent, signs.isDoubted]).toEqual([[], [], true])
  })

  it('has the silence that is known when it is watched', async () => {
    const { session, clock, times, expectOn } = makeSigns()
    times.silence = 700
    expectOn('one')
    await clock.advance(700)
    expect(session.asked).toEqual([700])
  })

  it('is watched no longer once the session is over', async () => {
    const { session, clock, signs, expectOn } = makeSigns()
    signs.end()
    expectOn('one')
    signs.end()
    expect(clock.armed).toBe(0)
    await clock.advance(60_000)
    expect(session.asked).toEqual([])
  })
})
