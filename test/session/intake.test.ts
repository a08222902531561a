// What a session receives: when its Duplex is read on, when not, and what becomes of the bytes.
import { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import type { Duplex } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Machine } from '../../src/engine/machine.ts'
import { Intake } from '../../src/session/intake.ts'
import { LentReads } from '../../src/session/lent-reads.ts'
import { Pace } from '../../src/session/pace.ts'
import { createDuplexPair } from '../support/duplex-pair.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

const LIMIT = 2 * 1_048_576

/** An intake of `duplex`, what its host was told, and a machine that notes what it is told of reading. */
function makeIntake(duplex: Duplex) {
  onTestFinished(() => void duplex.destroy())
  const clock = new FakeClock()
  const received: Uint8Array[] = []
  const told: string[] = []
  const intake = new Intake(duplex, clock, {
    receive: (bytes) => void received.push(bytes),
    goOn: () => void told.push('go on'),
    resumed: () => void told.push('resumed'),
  })
  intake.start()
  const reading: [boolean, number][] = []
  const noted = {
    hasMore: false,
    setReading: (on: boolean, now: number) => void reading.push([on, now]),
  }
  const machine = noted as unknown as Machine
  const text = (): string => Buffer.concat(received).toString()
  return { intake, clock, received, told, reading, machine, noted, text }
}

describe('reading', () => {
  it('stops for streams that are behind and goes on after them; the machine is told of each, once', () => {
    const duplex = new PassThrough()
    const { intake, machine, reading } = makeIntake(duplex)
    intake.update(machine, false, 0, 1)
    expect([intake.reading, reading]).toEqual([true, []])
    intake.update(machine, true, 0, 2)
    intake.update(machine, true, 0, 3)
    expect([intake.reading, duplex.isPaused()]).toEqual([false, true])
    intake.update(machine, false, 0, 4)
    intake.update(machine, false, 0, 5)
    expect([intake.reading, duplex.isPaused()]).toEqual([true, false])
    expect(reading).toEqual([
      [false, 2],
      [true, 4],
    ])
  })

  it('stops while 2 MiB of ours are under way; the machine is not told, for that excuses no silence', () => {
    const duplex = new PassThrough()
    const { intake, machine, reading } = makeIntake(duplex)
    intake.update(machine, false, LIMIT - 1, 1)
    expect(duplex.isPaused()).toBe(false)
    intake.update(machine, false, LIMIT, 2)
    expect([intake.reading, duplex.isPaused()]).toEqual([false, true])
    intake.update(machine, false, LIMIT - 1, 3)
    expect([intake.reading, duplex.isPaused()]).toEqual([true, false])
    expect(reading).toEqual([])
  })

  it('D47: stops while the last chunk is not used up, which the host is told is due, once in each round of the loop', async () => {
    const duplex = new PassThrough()
    const { intake, machine, noted, told, reading } = makeIntake(duplex)
    noted.hasMore = true
    intake.update(machine, false, 0, 1)
    intake.update(machine, false, 0, 1)
    expect([intake.reading, duplex.isPaused(), told]).toEqual([false, true, []])
    await settle()
    expect(told).toEqual(['go on'])
    intake.update(machine, false, 0, 2)
    await settle()
    expect(told).toEqual(['go on', 'go on'])
    noted.hasMore = false
    intake.update(machine, false, 0, 3)
    await settle()
    expect([intake.reading, told.length, reading]).toEqual([true, 2, []])
  })

  it('stops for the pace as long as what came asks for, and the host hears when it may go on', async () => {
    const duplex = new PassThrough()
    const { intake, machine, told, clock, reading } = makeIntake(duplex)
    const now = clock.now()
    intake.took(1e9, now)
    expect(clock.armed).toBe(0)
    intake.pace = new Pace(1_000)
    intake.took(250, now)
    expect(clock.armed).toBe(0)
    intake.took(1_000, now)
    intake.took(500, now)
    expect(clock.waits).toEqual([1_000])
    intake.update(machine, false, 0, now)
    expect([intake.reading, reading]).toEqual([false, [[false, now]]])
    await clock.advance(999)
    expect(told).toEqual([])
    await clock.advance(1)
    expect(told).toEqual(['resumed'])
    intake.update(machine, false, 0, clock.now())
    expect(intake.reading).toBe(true)
    // What came meanwhile has been counted.
    intake.took(0, clock.now())
    expect(clock.waits).toEqual([500])
  })

  it('never stops for the pace for more than 4 s at once', () => {
    const { intake, clock } = makeIntake(new PassThrough())
    intake.pace = new Pace(1_000)
    intake.took(1e6, clock.now())
    expect(clock.waits).toEqual([4_000])
  })
})

describe('the bytes', () => {
  it('are counted, and copies where another Duplex may use its own again', async () => {
    const [near, far] = createDuplexPair()
    const { intake, text } = makeIntake(near)
    const chunk = Buffer.from('hello ')
    far.write(chunk)
    await settle()
    chunk.fill('x')
    near.emit('data', new Uint8Array(Buffer.from('world')))
    expect(text()).toBe('hello world')
    expect(intake.received).toBe(11)
    expect(intake.lent).toBe(false)
  })

  it('are those of the socket itself where nobody else has them, or it lends them', () => {
    const socket = new Socket()
    const reads = new LentReads('tcp')
    reads.of(socket)
    const lent = makeIntake(socket)
    expect(lent.intake.lent).toBe(true)
    const buffer = new Uint8Array(3)
    reads.onRead(3, buffer)
    expect(lent.received[0]!.buffer).toBe(buffer.buffer)
    expect(lent.intake.received).toBe(3)
    const given = new Socket()
    const { received } = makeIntake(given)
    const chunk = Buffer.from('own')
    given.emit('data', chunk)
    expect(received[0]).toBe(chunk)
  })

  it('are those of strings in the encoding that the Duplex was given', async () => {
    for (const encoding of ['hex', 'latin1', 'utf8'] as const) {
      const duplex = new PassThrough()
      duplex.setEncoding(encoding)
      const { text } = makeIntake(duplex)
      duplex.write('grüße')
      await settle()
      expect(text()).toBe('grüße')
    }
    // An old kind of stream gives strings without having been told to.
    const duplex = new PassThrough()
    const { text } = makeIntake(duplex)
    duplex.emit('data', 'grüße')
    expect(text()).toBe('grüße')
  })

  it('must be bytes: a Duplex that delivers anything else is destroyed with a clear error', async () => {
    const duplex = new PassThrough({ readableObjectMode: true })
    const errors: Error[] = []
    duplex.on('error', (error) => errors.push(error))
    const { intake, received } = makeIntake(duplex)
    duplex.emit('data', { length: 7 })
    await settle()
    expect(errors).toEqual([new TypeError('what carries a session must deliver bytes')])
    expect([received, intake.received]).toEqual([[], 0])
  })
})

describe('the end', () => {
  it('takes nothing more after stop(), and leaves no timer and nothing that is due', async () => {
    const duplex = new PassThrough()
    const { intake, machine, noted, told, clock, text } = makeIntake(duplex)
    intake.pace = new Pace(1_000)
    intake.took(1_000, clock.now())
    noted.hasMore = true
    intake.update(machine, false, 0, 1)
    intake.stop()
    duplex.resume()
    duplex.write('too late')
    await settle()
    expect([text(), told, clock.armed]).toEqual(['', [], 0])
    expect(duplex.listenerCount('data')).toBe(0)
    // What is due again is told again.
    intake.update(machine, false, 0, 2)
    await settle()
    expect(told).toEqual(['go on'])
  })

  it('after drain() reads on for the end of the peer, and takes nothing', async () => {
    const [near, far] = createDuplexPair()
    const { intake, machine, text } = makeIntake(near)
    intake.update(machine, true, 0, 1)
    intake.drain()
    let ended = false
    near.on('end', () => (ended = true))
    far.end('too late')
    await settle()
    expect([ended, text()]).toEqual([true, ''])
  })

  it('leaves the Duplex paused to whoever it is handed over to', async () => {
    const [near, far] = createDuplexPair()
    const { intake, text } = makeIntake(near)
    await settle()
    intake.handOver()
    far.write('for another')
    await settle()
    expect([near.isPaused(), text()]).toEqual([true, ''])
    expect(String(near.read())).toBe('for another')
  })
})
