// The record writer against a sink that a test holds and lets go.
import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Write } from '../../src/engine/machine.ts'
import {
  giveJoinBuffer,
  RECORDS_LIMIT,
  takeJoinBuffer,
  WIDE_JOIN,
} from '../../src/session/join-buffers.ts'
import { RecordWriter } from '../../src/session/record-writer.ts'
import { settle } from '../support/fake-clock.ts'

/** Takes what a TLSSocket takes: single writes, and several at once. Each waits for {@link HeldSink.release}. */
class HeldSink extends Duplex {
  /** What was handed down, a list of the chunks of each call. */
  readonly calls: string[][] = []
  /** The chunks themselves. */
  readonly chunks: Buffer[] = []
  readonly #waiting: (() => void)[] = []
  /** Called in the middle of a write, as a sink does whose peer answers at once. */
  onWrite: (() => void) | undefined
  #held: boolean

  constructor(held = true) {
    super({ highWaterMark: 16_384 })
    this.#held = held
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#take([chunk], callback)
  }

  override _writev(chunks: readonly { chunk: Buffer }[], callback: () => void): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      callback,
    )
  }

  /** Lets the write that is held go. */
  async release(): Promise<void> {
    this.#waiting.shift()?.()
    await settle()
  }

  async releaseAll(): Promise<void> {
    this.#held = false
    while (this.#waiting.length > 0) await this.release()
  }

  /** The lengths of what was handed down with each call. */
  get lengths(): number[][] {
    return this.calls.map((call) => call.map((text) => text.length))
  }

  get text(): string {
    return this.calls.flat().join('')
  }

  #take(chunks: Buffer[], callback: () => void): void {
    this.calls.push(chunks.map(String))
    this.chunks.push(...chunks)
    if (this.#held) this.#waiting.push(callback)
    else process.nextTick(callback)
    this.onWrite?.()
  }
}

const shaped = (text: string): Write => {
  const part = Buffer.from(text)
  return { parts: [part], bytes: part.length, shaped: true }
}

const plain = (...texts: string[]): Write => {
  const parts = texts.map((text) => Buffer.from(text))
  return { parts, bytes: Buffer.concat(parts).length, shaped: false }
}

function makeWriter(held = true): { sink: HeldSink; writer: RecordWriter; progress: () => number } {
  const sink = new HeldSink(held)
  let calls = 0
  const writer = new RecordWriter(sink, () => (calls += 1))
  return { sink, writer, progress: () => calls }
}

describe('RecordWriter: shaped Writes', () => {
  it('D33: starts a shaped Write only when the one before has been flushed', async () => {
    const { sink, writer } = makeWriter()
    writer.write([shaped('a'), shaped('b'), shaped('c')])
    await settle()
    expect(sink.calls).toEqual([['a']])
    await sink.release()
    expect(sink.calls).toEqual([['a'], ['b']])
    await sink.release()
    expect(sink.calls).toEqual([['a'], ['b'], ['c']])
    // One by one, while nothing else waits: what the sink kept, it would write together.
    writer.write([shaped('d')])
    writer.write([shaped('e')])
    await sink.release()
    expect(sink.calls).toEqual([['a'], ['b'], ['c'], ['d']])
    await sink.release()
    expect(sink.calls).toEqual([['a'], ['b'], ['c'], ['d'], ['e']])
  })

  it('D33: starts a shaped Write only when unshaped ones have left', async () => {
    const { sink, writer } = makeWriter()
    writer.write([plain('one')])
    writer.write([plain('two'), shaped('S')])
    await settle()
    expect(sink.calls).toEqual([['one']])
    await sink.release()
    expect(sink.calls).toEqual([['one'], ['two']])
    await sink.release()
    expect(sink.calls).toEqual([['one'], ['two'], ['S']])
  })

  it('keeps unshaped Writes behind a shaped one that is being flushed', async () => {
    const { sink, writer } = makeWriter()
    writer.write([shaped('S')])
    writer.write([plain('1')])
    writer.write([plain('2')])
    await settle()
    expect(sink.calls).toEqual([['S']])
    await sink.releaseAll()
    expect(sink.text).toBe('S12')
    expect(sink.calls[0]).toEqual(['S'])
  })

  it('joins what waits, up to 128 KiB for each write', async () => {
    const { sink, writer } = makeWriter()
    writer.write([plain('head', 'body', 'head', 'body')])
    expect(sink.lengths).toEqual([[16]])
    for (let count = 0; count < 3; count += 1) writer.write([plain('h', 'x'.repeat(80_000))])
    expect(sink.lengths).toEqual([[16]])
    await sink.releaseAll()
    expect(sink.lengths).toEqual([[16], [131_072], [3 * 80_001 - 131_072]])
    expect(sink.text.slice(16)).toBe(`h${'x'.repeat(80_000)}`.repeat(3))
  })

  it('hands down what its reader may keep: a buffer is never used twice', async () => {
    const { sink, writer } = makeWriter()
    for (const letter of ['a', 'b', 'c']) {
      writer.write([plain(letter, letter)])
      await sink.release()
    }
    expect(sink.chunks.map(String)).toEqual(['aa', 'bb', 'cc'])
  })

  it('property: keeps the order, alone for every shaped Write, whatever comes when', async () => {
    const write = fc.record({
      text: fc.string({ minLength: 1, maxLength: 9 }),
      alone: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(write), { maxLength: 8 }), async (turns) => {
        const { sink, writer } = makeWriter()
        for (const turn of turns) {
          writer.write(turn.map(({ text, alone }) => (alone ? shaped(text) : plain(text))))
          await sink.release()
        }
        await sink.releaseAll()
        const all = turns.flat()
        expect(sink.text).toBe(Buffer.concat(all.map(({ text }) => Buffer.from(text))).toString())
        expect(writer.backlog).toBe(0)
        const alone = all.filter((one) => one.alone).map((one) => one.text)
        const calls = sink.calls.map((call) => call.join('\u0000'))
        // Each shaped Write is a call of its own, in the same order.
        let from = 0
        for (const text of alone) {
          const at = calls.indexOf(text, from)
          expect(at).toBeGreaterThanOrEqual(from)
          from = at + 1
        }
      }),
      { numRuns: 60 },
    )
  })

  it('keeps the order when the peer answers in the middle of a write', async () => {
    const { sink, writer } = makeWriter(false)
    let answered = false
    sink.onWrite = () => {
      if (answered) return
      answered = true
      writer.write([plain('4')])
    }
    writer.write([shaped('1'), plain('2'), shaped('3')])
    await settle()
    expect(sink.text).toBe('1234')
    answered = false
    writer.write([plain('5'), plain('6')])
    await settle()
    expect(sink.text).toBe('1234564')
  })
})

describe('RecordWriter: end and accounting', () => {
  it('ends the sink after everything, also what still waits for a flush', async () => {
    const { sink, writer } = makeWriter()
    let finished = false
    sink.on('finish', () => (finished = true))
    writer.write([shaped('a'), shaped('b'), plain('c')])
    writer.end()
    writer.end()
    await settle()
    expect(sink.writableEnded).toBe(false)
    await sink.release()
    expect(sink.writableEnded).toBe(false)
    await sink.releaseAll()
    expect(sink.text).toBe('abc')
    expect(finished).toBe(true)
  })

  it('ends an idle sink at once', () => {
    const { sink, writer } = makeWriter()
    writer.end()
    expect(sink.writableEnded).toBe(true)
  })

  it('counts what waits here and in the sink, and comes back to nothing', async () => {
    const { sink, writer, progress } = makeWriter()
    expect(writer.backlog).toBe(0)
    writer.write([shaped('x'.repeat(1000)), shaped('y'.repeat(500)), plain('z'.repeat(250))])
    expect(writer.backlog).toBeGreaterThanOrEqual(1750)
    await sink.release()
    expect(progress()).toBe(1)
    expect(writer.backlog).toBeGreaterThanOrEqual(750)
    expect(writer.backlog).toBeLessThan(1750)
    await sink.releaseAll()
    expect(progress()).toBe(3)
    expect(writer.backlog).toBe(0)
  })

  it('does not lose count over Writes that are cut in the middle', async () => {
    const { sink, writer } = makeWriter()
    for (let count = 0; count < 200; count += 1) {
      writer.write([plain('head', 'x'.repeat(70_000))])
      writer.write([plain('x'.repeat(70_000))])
      expect(writer.backlog).toBeGreaterThan(0)
      await sink.release()
    }
    // 200 times 140,000 bytes came, 200 times 131,072 at most have left.
    expect(writer.backlog).toBeGreaterThanOrEqual(200 * (140_004 - 131_072))
    await sink.releaseAll()
    expect(writer.backlog).toBe(0)
  })

  it('counts a Write of few bytes for what it costs to keep, waiting or in the sink', async () => {
    for (const first of [shaped('S'), plain('P')]) {
      const { sink, writer } = makeWriter()
      writer.write([first])
      for (let count = 0; count < 1000; count += 1) writer.write([plain('ab')])
      expect(writer.backlog).toBeGreaterThan(100_000)
      await sink.releaseAll()
      expect(writer.backlog).toBe(0)
    }
  })

  it('survives a sink that is destroyed in the middle, and hands nothing more down', async () => {
    const { sink, writer } = makeWriter()
    const errors: Error[] = []
    sink.on('error', (error) => errors.push(error))
    writer.write([shaped('a'), shaped('b'), plain('c')])
    sink.destroy(new Error('gone'))
    await settle()
    await sink.releaseAll()
    writer.write([plain('d'), shaped('e')])
    writer.end()
    await settle()
    expect(sink.text).toBe('a')
    expect(errors.map(({ message }) => message)).toEqual(['gone'])
  })
})

/** A socket that keeps each write until it is let go. */
class HeldSocket extends Socket {
  readonly chunks: Buffer[] = []
  readonly #waiting: ((error?: Error) => void)[] = []

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error) => void): void {
    this.chunks.push(chunk)
    this.#waiting.push(callback)
  }

  release(error?: Error): void {
    this.#waiting.shift()?.(error)
  }
}

describe('RecordWriter: what is lent', () => {
  it('is handed down as it is where nothing waits', () => {
    const { sink, writer } = makeWriter()
    const write = plain('lent')
    writer.write([write], true)
    expect(sink.chunks).toHaveLength(1)
    expect(sink.chunks[0]).toBe(write.parts[0])
  })

  it('is copied where it has to wait, and leaves as it was, in order, between what is not', async () => {
    const { sink, writer } = makeWriter()
    writer.write([plain('1')])
    const lent = [plain('2', '3'), plain('4'), plain('x'.repeat(100_000)), plain('5')]
    writer.write([plain('a')])
    for (const write of lent) writer.write([write], true)
    writer.write([plain('b')])
    for (const { parts } of lent) for (const part of parts) (part as Buffer).fill('?')
    await sink.releaseAll()
    expect(sink.text).toBe(`1a234${'x'.repeat(100_000)}5b`)
    expect([writer.backlog, writer.left]).toEqual([0, writer.accepted])
  })

  it('costs what it is to keep, whatever it shares', async () => {
    const { sink, writer } = makeWriter()
    writer.write([plain('1')])
    writer.write([plain('x'.repeat(140_000), 'y')], true)
    expect(writer.backlog).toBe(1 + 140_001 + 2 * 256)
    await sink.releaseAll()
    expect(sink.lengths).toEqual([[1], [131_072], [8_929]])
  })

  it('D33: leaves a shaped Write alone although it is lent', async () => {
    const { sink, writer } = makeWriter()
    writer.write([plain('1')])
    writer.write([plain('2'), shaped('S'), plain('3')], true)
    await sink.releaseAll()
    expect(sink.calls).toEqual([['1'], ['2'], ['S'], ['3']])
  })
})

describe('RecordWriter: a socket', () => {
  const writeTo = (): { socket: HeldSocket; writer: RecordWriter } => {
    const socket = new HeldSocket()
    return { socket, writer: new RecordWriter(socket, () => {}) }
  }

  it('has Writes joined in a buffer that serves again once it has called back, not before', () => {
    const { socket, writer } = writeTo()
    writer.write([plain('one', ' two')])
    writer.write([plain('three', ' four')])
    socket.release()
    socket.release()
    writer.write([plain('five', ' six')])
    expect(socket.chunks.map(String).slice(2)).toEqual(['five six'])
    const [first, second, third] = socket.chunks.map(({ buffer }) => buffer)
    expect(first).toBe(third)
    // What waited was joined when the first was back.
    expect(second).toBe(first)
    writer.write([plain('seven', ' eight')])
    const other = writeTo()
    other.writer.write([plain('nine', ' ten')])
    expect(other.socket.chunks[0]!.buffer).not.toBe(third)
  })

  it('gets a single view as it is, and no buffer is given back for it', () => {
    const { socket, writer } = writeTo()
    const write = plain('alone')
    writer.write([write])
    expect(socket.chunks[0]).toBe(write.parts[0])
    const taken = takeJoinBuffer(1)
    giveJoinBuffer(taken)
    socket.release()
    expect(takeJoinBuffer(1)).toBe(taken)
    giveJoinBuffer(taken)
  })

  it('has what is lent and waits copied into such a buffer, which serves again as well', () => {
    const { socket, writer } = writeTo()
    writer.write([plain('1')])
    const lent = plain('lent')
    writer.write([lent], true)
    ;(lent.parts[0] as Buffer).fill('?')
    socket.release()
    const [, copy] = socket.chunks
    expect(String(copy)).toBe('lent')
    expect(copy!.buffer.byteLength).toBe(4_096)
    const other = takeJoinBuffer(1)
    expect(other.buffer).not.toBe(copy!.buffer)
    socket.release()
    const again = takeJoinBuffer(1)
    expect(again.buffer).toBe(copy!.buffer)
    for (const buffer of [other, again]) giveJoinBuffer(buffer)
  })

  it('has small Writes that are lent and wait share a buffer, and counts that once', () => {
    const { socket, writer } = writeTo()
    writer.write([plain('1')])
    writer.write([shaped('S'), plain('x'.repeat(138_000))], true)
    for (let count = 0; count < 100; count += 1) writer.write([plain('ab')], true)
    expect(writer.backlog).toBe(1 + 1 + 138_200 + 3 * 256)
    for (let count = 0; count < 4; count += 1) socket.release()
    const lengths = socket.chunks.map(({ length }) => length)
    expect(lengths).toEqual([1, 1, 131_072, 138_200 - 131_072])
    // Whoever sends so much sends more.
    expect(socket.chunks[3]!.buffer.byteLength).toBe(RECORDS_LIMIT)
  })

  it.each([
    ['frames of four records share one by twos', 65_526, 4, [65_526, 131_052, 65_526]],
    ['of smaller ones full records are made', 9_000, 30, [65_536, 131_072, 73_392]],
    [
      'what is little more than eight records is no more writes',
      RECORDS_LIMIT,
      2,
      [RECORDS_LIMIT, RECORDS_LIMIT],
    ],
    ['a few bytes go on in what is begun', 65_526 / 2 + 3, 2, [65_532]],
  ])('Issue 10.3: what is lent and waits fills TLS records: %s', (_, size, count, expected) => {
    const { socket, writer } = writeTo()
    writer.write([plain('1')])
    for (let index = 0; index < count; index += 1) writer.write([plain('x'.repeat(size))], true)
    for (let index = 0; index <= expected.length; index += 1) socket.release()
    expect(socket.chunks.slice(1).map(({ length }) => length)).toEqual(expected)
  })

  it('takes another small buffer behind a small one that is full', () => {
    const { socket, writer } = writeTo()
    writer.write([plain('1')])
    for (const size of [4_000, 500]) writer.write([plain('x'.repeat(size))], true)
    for (let count = 0; count < 3; count += 1) socket.release()
    expect(socket.chunks.slice(1).map(({ length }) => length)).toEqual([4_000, 500])
    expect(socket.chunks.at(-1)!.buffer.byteLength).toBe(4_096)
  })

  it('keeps a buffer for itself that it failed to write', () => {
    const { socket, writer } = writeTo()
    socket.on('error', () => {})
    writer.write([plain('one', ' two')])
    socket.release(new Error('gone'))
    const { buffer } = socket.chunks[0]!
    const taken = takeJoinBuffer(1)
    expect(taken.buffer).not.toBe(buffer)
    giveJoinBuffer(taken)
    expect(writer.left).toBe(0)
  })

  it('gets more than 129 KiB in several, also where nothing waits', () => {
    const { socket, writer } = writeTo()
    writer.write([plain('h', 'x'.repeat(RECORDS_LIMIT))])
    for (let count = 0; count < 2; count += 1) socket.release()
    expect(socket.chunks.map(({ length }) => length)).toEqual([
      131_072,
      RECORDS_LIMIT + 1 - 131_072,
    ])
  })

  it('gets up to 129 KiB as one when no more waits, and 128 KiB when more does', () => {
    const { socket, writer } = writeTo()
    writer.write([plain('h', 'x'.repeat(RECORDS_LIMIT - 1))])
    writer.write([plain('h', 'x'.repeat(RECORDS_LIMIT - 1))])
    socket.release()
    writer.write([plain('h', 'x'.repeat(RECORDS_LIMIT))])
    for (let count = 0; count < 3; count += 1) socket.release()
    expect(socket.chunks.map(({ length }) => length)).toEqual([
      RECORDS_LIMIT,
      RECORDS_LIMIT,
      131_072,
      RECORDS_LIMIT + 1 - 131_072,
    ])
  })
})

describe('RecordWriter: what has left', () => {
  it('is counted when the sink has taken it, beside what was accepted', async () => {
    const { sink, writer } = makeWriter()
    writer.write([shaped('abc'), plain('de')])
    expect([writer.accepted, writer.left]).toEqual([5, 0])
    await sink.release()
    expect([writer.accepted, writer.left]).toEqual([5, 3])
    await sink.release()
    expect(writer.left).toBe(5)
  })

  it('is nothing more once it was abandoned, and nothing waits then', async () => {
    const { sink, writer } = makeWriter()
    writer.write([shaped('a'), shaped('b'), plain('c')])
    writer.abandon()
    expect(writer.backlog).toBe(1)
    writer.write([plain('d')])
    writer.end()
    expect(writer.accepted).toBe(3)
    await sink.releaseAll()
    expect([sink.text, sink.writableEnded, writer.backlog]).toEqual(['a', false, 0])
  })
})

describe('RecordWriter: wide writes', () => {
  const make = (): { socket: HeldSocket; writer: RecordWriter; sizes: () => number[] } => {
    const socket = new HeldSocket()
    const writer = new RecordWriter(socket, () => {})
    onTestFinished(() => writer.narrow())
    return { socket, writer, sizes: () => socket.chunks.map(({ length }) => length) }
  }
  const wide = plain('head', 'x'.repeat(WIDE_JOIN - 4))

  it('are what is lent, once they were asked for and until they are no more', () => {
    const { socket, writer, sizes } = make()
    writer.write([wide], true)
    expect(sizes()).toEqual([131_072])
    while (writer.backlog > 0) socket.release()
    const before = sizes().length
    expect(writer.widen()).toBe(true)
    writer.write([wide], true)
    socket.release()
    expect(sizes().slice(before)).toEqual([WIDE_JOIN])
    writer.narrow()
    writer.write([wide], true)
    expect(sizes().at(-1)).toBe(131_072)
  })

  it('are none of what is not lent, has more bytes or shares the connection', () => {
    const { socket, writer, sizes } = make()
    expect(writer.widen()).toBe(true)
    writer.write([wide], true, true)
    while (writer.backlog > 0) socket.release()
    writer.write([wide])
    while (writer.backlog > 0) socket.release()
    writer.write([plain('1', 'x'.repeat(WIDE_JOIN))], true)
    while (writer.backlog > 0) socket.release()
    expect(Math.max(...sizes())).toBeLessThanOrEqual(RECORDS_LIMIT)
  })

  it('have sixteen connections at the most, another when one is over, and none that is no socket', () => {
    const writers = Array.from({ length: 17 }, () => make().writer)
    const last = writers.pop()!
    for (const writer of writers) expect([writer.widen(), writer.widen()]).toEqual([true, true])
    expect(last.widen()).toBe(false)
    last.narrow()
    expect(last.widen()).toBe(false)
    writers[3]!.narrow()
    writers[3]!.narrow()
    expect([makeWriter().writer.widen(), last.widen(), writers[3]!.widen()]).toEqual([
      false,
      true,
      false,
    ])
  })
})

describe('RecordWriter: small Writes that others may follow', () => {
  const turnOver = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const make = (): { socket: HeldSocket; writer: RecordWriter; written: () => string[] } => {
    const socket = new HeldSocket()
    const writer = new RecordWriter(socket, () => {})
    return { socket, writer, written: () => socket.chunks.map(String) }
  }

  it('leave together once the turn of the loop is over, and so do those of the next turn', async () => {
    const { socket, writer, written } = make()
    for (const round of ['1', '2']) {
      for (const letter of ['a', 'b', 'c']) writer.write([plain(letter, round)], false, true)
      expect(writer.backlog).toBeGreaterThan(6)
      await turnOver()
      expect(written().at(-1)).toBe(`a${round}b${round}c${round}`)
      socket.release()
      expect(writer.backlog).toBe(0)
    }
    expect(written()).toHaveLength(2)
    expect(writer.left).toBe(12)
  })

  it('are copied, lent as they are', async () => {
    const { writer, written } = make()
    const lent = plain('lent')
    writer.write([lent], true, true)
    ;(lent.parts[0] as Buffer).fill('?')
    await turnOver()
    expect(written()).toEqual(['lent'])
  })

  it('fill one buffer at the most: what does not fit into it does not wait', async () => {
    const { socket, writer, written } = make()
    writer.write([plain('x'.repeat(4_000))], false, true)
    writer.write([plain('y'.repeat(96))], false, true)
    expect(written()).toEqual([])
    writer.write([plain('z')], false, true)
    expect(written().map(({ length }) => length)).toEqual([4_096])
    socket.release()
    expect(written().slice(1)).toEqual(['z'])
    await turnOver()
    expect(written()).toHaveLength(2)
    const large = make()
    large.writer.write([plain('x'.repeat(4_097))], false, true)
    expect(large.written()).toHaveLength(1)
  })

  it('D33: leave at once before a shaped one, which waits for nobody', () => {
    const { socket, writer, written } = make()
    writer.write([plain('a')], false, true)
    writer.write([shaped('S')], false, true)
    expect(written()).toEqual(['a'])
    socket.release()
    expect(written()).toEqual(['a', 'S'])
  })

  it('leave at once before what nothing follows, and at the end', async () => {
    const { socket, writer, written } = make()
    writer.write([plain('a')], false, true)
    writer.write([plain('b')])
    expect(written()).toEqual(['a'])
    socket.release()
    expect(written()).toEqual(['a', 'b'])
    await turnOver()
    socket.release()
    writer.write([plain('c')], false, true)
    writer.end()
    expect(written().slice(2)).toEqual(['c'])
    expect(socket.writableEnded).toBe(false)
  })

  it('join what waits for the one before, without waiting for a turn', () => {
    const { socket, writer, written } = make()
    writer.write([plain('a')])
    writer.write([plain('b')], false, true)
    writer.write([plain('c')], false, true)
    socket.release()
    expect(written()).toEqual(['a', 'bc'])
  })

  it('never leave once somebody else writes', async () => {
    const { writer, written } = make()
    writer.write([plain('a')], false, true)
    writer.abandon()
    await turnOver()
    expect(written()).toEqual([])
  })

  it('leave at once where the sink is no socket, which may keep what it is given', () => {
    const { sink, writer } = makeWriter()
    writer.write([plain('a')], false, true)
    expect(sink.calls).toEqual([['a']])
  })
})
