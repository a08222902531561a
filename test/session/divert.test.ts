// A stream whose bytes somebody carries on without the Duplex in between: it hands over what it has, and lives on for
// its state and its end.
import { once } from 'node:events'
import { finished } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { CloseCode } from '../../src/engine/close-code.ts'
import type { LaneSink } from '../../src/session/lane.ts'
import type { Stream } from '../../src/session/stream.ts'
import { settle } from '../support/fake-clock.ts'
import { makeSessionPair } from '../support/session-pair.ts'

const WINDOW = 262_144

/** A sink that notes what it is told, and keeps what it is lent. */
function makeSink() {
  const told: string[] = []
  let text = ''
  const note = (name: string) => (): void => void told.push(name)
  const sink: LaneSink = {
    data: (view) => {
      text += Buffer.from(view).toString()
    },
    settle: note('settle'),
    accepted: note('accepted'),
    end: note('end'),
    closed: (error) => void told.push(`closed ${error?.code ?? 'in order'}`),
    sent: note('sent'),
    left: note('left'),
    destroy: note('destroy'),
  }
  return { sink, told, text: () => text }
}

/** A stream that stands, and one end of it diverted. */
async function divert() {
  const pair = makeSessionPair()
  const [ours, theirs] = await pair.open()
  await settle()
  const noted = makeSink()
  const diverted = ours.divert(noted.sink)!
  return { ...pair, ...noted, ours, theirs, ...diverted }
}

describe('a stream that is diverted', () => {
  it('hands over what had come and was not read, and gives its credit back', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    theirs.write(Buffer.alloc(WINDOW - 5, 'a'))
    theirs.write('.last')
    theirs.write('behind the window')
    await settle()
    const { sink, text } = makeSink()
    const { unread, ended } = ours.divert(sink)!
    expect(Buffer.concat(unread).toString()).toBe(`${'a'.repeat(WINDOW - 5)}.last`)
    expect(ended).toBe(false)
    await settle()
    expect(text()).toBe('behind the window')
  })

  it('has the sink take what arrives from then on, turn by turn, until the peer ends', async () => {
    const { theirs, told, text, lane, unread, ours } = await divert()
    expect(unread).toEqual([])
    theirs.write('one')
    await settle()
    expect([text(), told]).toEqual(['one', ['settle']])
    lane.consumed(3)
    theirs.end('two')
    await settle()
    expect([text(), told]).toEqual(['onetwo', ['settle', 'settle', 'end']])
    expect(ours.readableLength).toBe(0)
  })

  it('says whether the peer had ended before', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    theirs.end('all')
    await settle()
    const { unread, ended } = ours.divert(makeSink().sink)!
    expect([Buffer.concat(unread).toString(), ended]).toEqual(['all', true])
  })

  it('sends what its new owner writes on the lane, who hears when it is sent and when it has left', async () => {
    const { theirs, told, lane } = await divert()
    const received: string[] = []
    theirs.on('data', (chunk: Buffer) => received.push(String(chunk)))
    lane.write([Buffer.from('hello')])
    await settle()
    expect([received.join(''), told]).toEqual(['hello', ['sent', 'left']])
    const ended = once(theirs, 'end')
    lane.finish()
    await ended
    await settle()
    expect(told).toEqual(['sent', 'left', 'left'])
  })

  it('emits timeout after silence in both directions, not while data comes or leaves', async () => {
    const { ours, theirs, lane, clock } = await divert()
    theirs.resume()
    let timeouts = 0
    ours.setTimeout(1_000).on('timeout', () => (timeouts += 1))
    await clock.advance(999)
    theirs.write('comes')
    await clock.advance(999)
    lane.writeLent(Buffer.from('leaves'))
    await clock.advance(999)
    expect(timeouts).toBe(0)
    await clock.advance(1)
    expect([timeouts, ours.destroyed]).toEqual([1, false])
  })

  it('still calls back the write that was on its way', async () => {
    const { open } = makeSessionPair({ pair: { highWaterMark: 1 } })
    const [ours, theirs] = await open()
    await settle()
    let called = 0
    ours.write('on its way', () => (called += 1))
    const { sink, told } = makeSink()
    ours.divert(sink)
    expect(called).toBe(0)
    theirs.resume()
    await settle()
    expect(called).toBe(1)
    expect(told).toEqual(['sent', 'left'])
  })

  it('closes with its error when the peer breaks it off, without a word to the sink', async () => {
    const { ours, theirs, told } = await divert()
    const failed = once(ours, 'error')
    theirs.reset(CloseCode.ResourceExhausted)
    expect(await failed).toMatchObject([{ code: 'ERR_STREAM_RESET' }])
    expect(told).toEqual([])
  })

  it('leaves an end in order to the sink, for what has come may still be on its way', async () => {
    const { ours, theirs, told, lane } = await divert()
    theirs.end()
    theirs.resume()
    lane.finish()
    await finished(theirs)
    await settle()
    expect(told).toContain('closed in order')
    expect(ours.destroyed).toBe(false)
    // Nothing of it is told to the peer, for whom it is over.
    ours.destroy()
    await settle()
    expect(theirs.errored).toBeNull()
  })

  it('is destroyed with its session, not through the sink', async () => {
    const { ours, told, client } = await divert()
    client.destroy()
    expect(ours.destroyed).toBe(true)
    expect(told).toEqual([])
  })

  it('can still be waited for until it is accepted', async () => {
    const { open } = makeSessionPair({ session: { autoAccept: false } })
    const [ours, theirs] = await open()
    const { sink, told } = makeSink()
    ours.divert(sink)
    const waits = ours.accepted()
    theirs.accept()
    await waits
    expect(told).toEqual([])
  })
})

describe('a stream is not diverted', () => {
  const uses: Readonly<Record<string, (ours: Stream, theirs: Stream) => unknown>> = {
    'while somebody listens to it': (ours) => ours.on('data', () => {}),
    'once it has ended here': (ours) => ours.end(),
    'once it is destroyed': (ours) => ours.destroy(),
    'once it is over at the other end': (_ours, theirs) => theirs.destroy(),
    'when it gives strings': (ours) => ours.setEncoding('utf8'),
    'while it makes its writer wait': (ours) => ours.write(Buffer.alloc(16 * WINDOW)),
  }

  for (const [when, use] of Object.entries(uses)) {
    it(when, async () => {
      const { open } = makeSessionPair()
      const [ours, theirs] = await open()
      await settle()
      use(ours, theirs)
      await settle()
      expect(ours.divert(makeSink().sink)).toBeUndefined()
    })
  }

  it('but is when it was listened to before, and is paused', async () => {
    const { open } = makeSessionPair()
    const [ours] = await open()
    ours.on('data', () => {}).pause()
    expect(ours.divert(makeSink().sink)).toBeDefined()
  })
})
