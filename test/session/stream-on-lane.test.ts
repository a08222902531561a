// A stream on a lane without a core: what it asks of the lane and when, whatever order things come in.
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import type { LaneSink } from '../../src/session/lane.ts'
import { Stream } from '../../src/session/stream.ts'
import type { StreamSession } from '../../src/session/stream.ts'
import { settle } from '../support/fake-clock.ts'
import { takeUncaught } from '../support/uncaught.ts'
import { makeLane } from './support/lanes.ts'
import type { LaneOptions } from './support/lanes.ts'

const UDP = { network: 'udp', target: { host: 'example.com', port: 53 }, priority: 128 } as const

function makeStream(options: LaneOptions = {}) {
  const { lane, seen, clock } = makeLane(options)
  const stream = new Stream(lane, {} as StreamSession)
  onTestFinished(() => void stream.on('error', () => {}).destroy())
  const sink = (): LaneSink => lane.sink!
  return {
    ...{ stream, lane, seen, clock, sink },
    /** What was asked of the core by that name. */
    asked: (name: string): unknown[][] =>
      seen.filter(([asked]) => asked === name).map(([, ...args]) => args),
    /** Bytes come, in a turn of their own. */
    deliver: (text: string): void => {
      const view = Buffer.from(text)
      lane.unread += view.length
      sink().data(view)
      sink().settle()
    },
    /** What waits goes to the machine. */
    send: (bytes = Infinity): string => {
      const taken = Buffer.concat(lane.takePending(bytes)).toString()
      lane.sent()
      return taken
    },
  }
}

describe('a stream that the peer opened', () => {
  it('is accepted once, whoever does it how often', () => {
    const { stream, asked } = makeStream({ openedHere: false })
    stream.accept()
    stream.accept()
    stream.write('x')
    expect(asked('accept')).toEqual([[]])
  })

  it('is accepted by its first write, before the bytes', () => {
    const { stream, seen } = makeStream({ openedHere: false })
    stream.write('x')
    expect(seen).toEqual([['accept'], ['ready']])
  })

  it('is not accepted once it is destroyed', () => {
    const { stream, asked } = makeStream({ openedHere: false })
    stream.destroy()
    stream.accept()
    expect(asked('accept')).toEqual([])
  })

  it('is not accepted once it is over for the peer, though what came is still unread', () => {
    const { stream, sink, asked, deliver } = makeStream({ openedHere: false })
    deliver('unread')
    sink().closed(undefined)
    expect(stream.destroyed).toBe(false)
    stream.accept()
    expect(asked('accept')).toEqual([])
  })

  it('tells that it was accepted once, and not where this end opened it and accepts', () => {
    const { stream, sink, asked } = makeStream()
    stream.accept()
    expect(asked('accept')).toEqual([])
    let told = 0
    stream.on('accept', () => (told += 1))
    sink().accepted()
    sink().accepted()
    expect(told).toBe(1)
  })
})

describe('the code that a stream ends with', () => {
  it('is Graceful without a reason, or that of reset()', () => {
    const plain = makeStream()
    plain.stream.destroy()
    expect(plain.asked('reset')).toEqual([[CloseCode.Graceful, '']])
    const reset = makeStream()
    reset.stream.reset(CloseCode.Rejected)
    expect(reset.asked('reset')).toEqual([[CloseCode.Rejected, '']])
  })

  it('D49: is RemoteDisconnect when what was written has not left, or with an error', () => {
    const waits = makeStream()
    waits.stream.write('x')
    waits.stream.destroy()
    expect(waits.asked('reset')).toEqual([[CloseCode.RemoteDisconnect, '']])
    const failed = makeStream()
    failed.stream.on('error', () => {}).destroy(new Error('mine'))
    expect(failed.asked('reset')).toEqual([[CloseCode.RemoteDisconnect, '']])
  })

  it('is that of reset() all the same when what was written has not left', () => {
    const { stream, asked } = makeStream()
    stream.write('x')
    stream.reset(CloseCode.ResourceExhausted, 'no room')
    expect(asked('reset')).toEqual([[CloseCode.ResourceExhausted, 'no room']])
  })

  it('is none when it is over for the peer: what was not read is dropped', () => {
    const { stream, sink, asked, deliver } = makeStream()
    deliver('unread')
    sink().closed(undefined)
    expect(stream.destroyed).toBe(false)
    stream.destroy()
    expect([asked('reset'), asked('dropped')]).toEqual([[], [[]]])
    expect(stream.readableLength).toBe(0)
  })
})

describe('the end of what a stream sends', () => {
  it('goes with the last bytes, once, and is over when both have left', async () => {
    const { stream, sink, seen, send } = makeStream()
    const finished = once(stream, 'finish')
    let written = 0
    stream.end('x', () => (written += 1))
    expect(send()).toBe('x')
    expect(seen).toEqual([['ready'], ['drained'], ['finish'], ['drained']])
    // As a socket does that took all of it: the bytes, and the end behind them.
    sink().left()
    sink().left()
    await finished
    await settle()
    expect(written).toBe(1)
    expect(seen.filter(([name]) => name === 'finish')).toHaveLength(1)
  })

  it('waits for what was written behind those bytes', async () => {
    const { stream, sink, asked, send } = makeStream()
    stream.write('first')
    stream.end('second')
    expect(send()).toBe('first')
    expect(asked('finish')).toEqual([])
    sink().left()
    await settle()
    expect(send()).toBe('second')
    expect(asked('finish')).toEqual([[]])
  })

  it('goes alone where all has left before, and is over when it has left, not before', async () => {
    const { stream, sink, asked } = makeStream()
    let finished = false
    stream.on('finish', () => (finished = true))
    stream.end()
    await settle()
    expect([asked('finish'), finished]).toEqual([[[]], false])
    sink().left()
    await settle()
    expect(finished).toBe(true)
  })

  it('is nobody’s affair on a stream that is over', async () => {
    const { stream, sink, asked, deliver } = makeStream()
    deliver('unread')
    sink().closed(undefined)
    const finished = once(stream, 'finish')
    stream.end()
    await finished
    expect(asked('finish')).toEqual([])
  })
})

describe('what is read', () => {
  it('gives its credit back byte by byte, and none where nothing was taken', () => {
    const { stream, asked, deliver } = makeStream()
    expect(stream.read()).toBeNull()
    deliver('abcdef')
    expect(String(stream.read(2))).toBe('ab')
    expect(String(stream.read(4))).toBe('cdef')
    expect(stream.read()).toBeNull()
    expect(asked('consumed')).toEqual([[2], [4]])
  })

  it('as text gives its credit back once a piece was taken whole', () => {
    const { stream, asked, deliver } = makeStream()
    stream.setEncoding('utf8')
    deliver('ééé')
    expect(stream.read(1)).toBe('é')
    expect(asked('consumed')).toEqual([])
    expect(stream.read()).toBe('éé')
    expect(asked('consumed')).toEqual([[6]])
  })

  it('is text to a listener after setEncoding, from the first piece to the last', async () => {
    const { stream, deliver, sink } = makeStream()
    stream.setEncoding('hex')
    const chunks: unknown[] = []
    stream.on('data', (chunk) => chunks.push(chunk))
    for (const text of ['a', 'b', 'c']) {
      deliver(text)
      await settle()
    }
    sink().end()
    await once(stream, 'end')
    expect(chunks).toEqual(['61', '62', '63'])
  })

  it('gives its credit back before a listener is told, though that throws, and goes on', async () => {
    const uncaught = takeUncaught()
    const { stream, asked, deliver } = makeStream()
    deliver('first')
    stream.on('data', (chunk: Buffer) => {
      throw new Error(String(chunk))
    })
    await settle()
    expect(asked('consumed')).toEqual([[5]])
    expect(uncaught).toEqual([new Error('first')])
  })

  it('is nothing that comes after the stream was destroyed', () => {
    const { stream, deliver } = makeStream()
    stream.destroy()
    deliver('too late')
    expect(stream.readableLength).toBe(0)
  })

  it('ends when all of it was read, and not while something waits', async () => {
    const { stream, sink, deliver } = makeStream()
    let ended = false
    stream.on('end', () => (ended = true))
    deliver('ab')
    sink().end()
    expect(String(stream.read(1))).toBe('a')
    await settle()
    expect(ended).toBe(false)
    expect(String(stream.read(1))).toBe('b')
    stream.read(0)
    await settle()
    expect(ended).toBe(true)
  })
})

describe('a stream whose session is closed', () => {
  const closed = (): AnyTlsError => new AnyTlsError('ERR_SESSION_CLOSED')

  it('ends in order where the peer had ended and nothing waits to be sent', async () => {
    const { stream, sink, deliver } = makeStream()
    deliver('all of it')
    sink().end()
    sink().closed(closed())
    const chunks: string[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(String(chunk)))
    await once(stream, 'close')
    expect([chunks, stream.errored]).toEqual([['all of it'], null])
  })

  it('fails where the peer had not ended, where something waits to be sent, or with another error', () => {
    const open = makeStream()
    const waits = makeStream()
    waits.stream.write('x')
    waits.sink().end()
    const lost = makeStream()
    lost.sink().end()
    const lostError = new AnyTlsError('ERR_CONNECTION_LOST')
    for (const [{ stream, sink }, error] of [
      [open, closed()],
      [waits, closed()],
      [lost, lostError],
    ] as const) {
      stream.on('error', () => {})
      sink().closed(error)
      expect([stream.destroyed, stream.errored]).toEqual([true, error])
    }
  })
})

describe('a write on a stream that the peer has ended in both directions', () => {
  it('that waits is let go, and calls back', async () => {
    const { stream, lane, sink, deliver } = makeStream()
    deliver('unread')
    let written = 0
    stream.write('nobody wants it', () => (written += 1))
    sink().closed(undefined)
    await settle()
    expect([written, lane.pendingBytes]).toEqual([1, 0])
  })

  it('that is on its way calls back when it has left', async () => {
    const { stream, sink, deliver, send } = makeStream()
    deliver('unread')
    let written = 0
    stream.write('on its way', () => (written += 1))
    send()
    sink().closed(undefined)
    await settle()
    expect(written).toBe(0)
    sink().left()
    await settle()
    expect(written).toBe(1)
  })

  it('is let go up to 64 KiB; beyond that the writer waits for the reader, 30 s at most', async () => {
    for (const reads of [true, false]) {
      const { stream, sink, deliver, clock, asked } = makeStream()
      deliver('unread')
      sink().closed(undefined)
      const results: unknown[] = []
      const note = (error: unknown): void => void results.push(error ?? 'written')
      stream.on('error', () => {})
      stream.write(Buffer.alloc(65_535), note)
      stream.write('x', note)
      await settle()
      expect(results).toEqual(['written', 'written'])
      stream.write('y', note)
      await clock.advance(29_999)
      expect([results.length, stream.destroyed]).toEqual([2, false])
      if (reads) stream.resume()
      else await clock.advance(1)
      await settle()
      expect([stream.destroyed, results.length]).toEqual([true, 3])
      expect(results[2]).toMatchObject({ code: 'ERR_STREAM_RESET' })
      expect(asked('ready')).toEqual([])
    }
  })
})

it('datagrams of several that are written together are refused together for one that is too long', async () => {
  const { stream, asked } = makeStream({ request: UDP })
  const errors: unknown[] = []
  stream.on('error', () => {})
  stream.cork()
  for (const size of [1, 65_536]) {
    stream.write(Buffer.alloc(size), (error) => errors.push(error))
  }
  stream.uncork()
  await settle()
  expect(errors).toEqual([
    expect.objectContaining({ code: 'ERR_OPTION_INVALID' }),
    expect.objectContaining({ code: 'ERR_OPTION_INVALID' }),
  ])
  expect(asked('ready')).toEqual([])
})

describe('a stream that is diverted', () => {
  const sinkOf = (told: string[]): LaneSink => {
    const note = (name: string) => (): void => void told.push(name)
    return {
      ...{ data: note('data'), settle: note('settle'), accepted: note('accepted') },
      ...{ end: note('end'), closed: note('closed'), sent: note('sent'), left: note('left') },
      destroy: note('destroy'),
    }
  }

  it('is destroyed with what the core destroys it with, which its sink does not see', () => {
    const { stream, sink } = makeStream()
    const told: string[] = []
    stream.on('error', () => {})
    stream.divert(sinkOf(told))
    const failure = new Error('enough')
    sink().destroy(failure)
    expect([stream.errored, told]).toEqual([failure, []])
  })

  it('tells its sink nothing of a write that was over before', () => {
    const { stream, sink, lane } = makeStream()
    const told: string[] = []
    stream.write('before', () => void stream.divert(sinkOf(told)))
    lane.takePending(Infinity)
    sink().sent()
    sink().left()
    expect([told, stream.writableLength]).toEqual([[], 0])
    sink().left()
    expect(told).toEqual(['left'])
  })

  it('is dropped, not reset, when it is destroyed after an end in order', () => {
    const { stream, sink, asked } = makeStream()
    const told: string[] = []
    stream.divert(sinkOf(told))
    sink().closed(undefined)
    stream.destroy()
    expect([told, asked('reset'), asked('dropped')]).toEqual([['closed'], [], [[]]])
  })
})
