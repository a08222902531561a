// One stream inside the core: what waits to be sent, whose bytes those are, and what its end asks of the core.
import { describe, expect, it } from 'vitest'
import { CloseCode } from '../../src/engine/close-code.ts'
import { RECORDS_LIMIT } from '../../src/session/join-buffers.ts'
import { makeLane } from './support/lanes.ts'

const text = (views: readonly Uint8Array[]): string => Buffer.concat(views).toString()

describe('what waits on a lane', () => {
  it('is counted, leaves in order and in parts, and the core hears that there is something', () => {
    const { lane, seen } = makeLane()
    expect([lane.pendingBytes, lane.firstPendingBytes]).toEqual([0, 0])
    expect(lane.takePending(10)).toEqual([])
    lane.write([Buffer.from('abc'), Buffer.from('de')])
    expect(seen).toEqual([['ready']])
    expect([lane.pendingBytes, lane.firstPendingBytes]).toEqual([5, 3])
    expect(text(lane.takePending(4))).toBe('abcd')
    expect([lane.pendingBytes, lane.firstPendingBytes]).toEqual([1, 1])
    expect(text(lane.takePending(4))).toBe('e')
    // None of it was lent.
    expect(seen).toEqual([['ready']])
  })

  it('is all sent when nothing of it waits any more: only then the core and the sink are told, in this order', () => {
    const { lane, seen } = makeLane()
    lane.write([Buffer.from('abc')])
    lane.takePending(2)
    lane.sent()
    expect(seen).toEqual([['ready']])
    lane.takePending(1)
    lane.sent()
    expect(seen).toEqual([['ready'], ['drained'], ['sink sent']])
  })

  it('is let go with discard()', () => {
    const { lane } = makeLane()
    lane.write([Buffer.from('abc')])
    lane.discard()
    expect(lane.pendingBytes).toBe(0)
    expect(lane.takePending(10)).toEqual([])
  })
})

describe('what is lent to a lane', () => {
  it('leaves as it is where the core sends it at once', () => {
    const laned = makeLane()
    const lent = Buffer.from('at once')
    let taken: readonly Uint8Array[] = []
    laned.onPush = () => (taken = laned.lane.takePending(100))
    laned.lane.writeLent(lent)
    expect(taken).toEqual([lent])
    expect(taken[0]).toBe(lent)
    expect(laned.seen).toEqual([['push']])
  })

  it('is copied where a part of it has to wait, and what comes after it too', () => {
    const laned = makeLane()
    const [first, second] = [Buffer.from('first'), Buffer.from('second')]
    let left = ''
    laned.onPush = () => (left = text(laned.lane.takePending(2)))
    laned.lane.writeLent(first)
    first.fill('x')
    laned.lane.writeLent(second)
    second.fill('x')
    expect(left).toBe('fi')
    expect(laned.lane.pendingBytes).toBe(9)
    expect(text(laned.lane.takePending(9))).toBe('rstsecond')
    // Once: what waits behind something else cannot leave before it.
    expect(laned.seen.filter(([name]) => name === 'push')).toHaveLength(1)
  })

  it('lends its copies on, and names the buffers that nothing waits in any more', () => {
    const { lane, seen } = makeLane()
    for (const part of ['one', 'two']) lane.writeLent(Buffer.from(part))
    const [first] = lane.takePending(3)
    expect(seen.at(-1)).toEqual(['lends', []])
    const [second] = lane.takePending(3)
    expect(second!.buffer).toBe(first!.buffer)
    const [name, buffers] = seen.at(-1) as [string, Buffer[]]
    expect(name).toBe('lends')
    expect(buffers).toHaveLength(1)
    expect(buffers[0]!.buffer).toBe(first!.buffer)
    // What is no copy of ours is lent by nobody.
    lane.write([Buffer.from('own')])
    lane.takePending(3)
    expect(seen.at(-1)).toEqual(['ready'])
  })

  it('does not give back the buffer of what was let go, which may still have to be written', () => {
    const { lane, seen } = makeLane()
    lane.writeLent(Buffer.from('one'))
    lane.discard()
    lane.write([Buffer.from('two')])
    lane.takePending(3)
    expect(seen.filter(([name]) => name === 'lends')).toEqual([])
  })

  it('is copied whole however large it is', () => {
    const { lane } = makeLane()
    const lent = Buffer.alloc(3 * RECORDS_LIMIT, 'a')
    lane.writeLent(lent)
    lent.fill('b')
    expect(text(lane.takePending(Infinity))).toBe('a'.repeat(3 * RECORDS_LIMIT))
  })
})

describe('the end of a lane', () => {
  it('asks the core to finish it, and then to tell when its last bytes have left', () => {
    const { lane, seen } = makeLane()
    lane.finish()
    expect(seen).toEqual([['finish'], ['drained']])
  })

  it('with reset() drops what waits and tells the core why', () => {
    const { lane, seen } = makeLane()
    lane.write([Buffer.from('abc')])
    lane.reset(CloseCode.Rejected, 'not here')
    expect(lane.dropped).toBe(true)
    expect(lane.pendingBytes).toBe(0)
    expect(seen.at(-1)).toEqual(['reset', CloseCode.Rejected, 'not here'])
  })

  it('with drop() says that nobody reads the rest', () => {
    const { lane, seen } = makeLane()
    expect(lane.dropped).toBe(false)
    lane.drop()
    expect(lane.dropped).toBe(true)
    expect(seen).toEqual([['dropped']])
  })
})

it('a lane counts down what is unread, and passes on acceptance, credit and timers', async () => {
  const { lane, seen, clock } = makeLane()
  lane.unread = 10
  lane.consumed(4)
  expect(lane.unread).toBe(6)
  lane.accept()
  expect(seen).toEqual([['consumed', 4], ['accept']])
  let calls = 0
  lane.schedule(50, () => (calls += 1))
  await clock.advance(49)
  expect(calls).toBe(0)
  await clock.advance(1)
  expect(calls).toBe(1)
  expect(lane.readsLent).toBe(true)
})

it('a lane carries datagrams where it was asked for with udp, and bytes otherwise', () => {
  const target = { host: 'example.com', port: 53 }
  for (const [network, messages] of [
    ['udp', true],
    ['tcp', false],
  ] as const) {
    const { lane } = makeLane({ request: { network, target, priority: 1 } })
    expect(lane.messages).toBe(messages)
  }
  expect(makeLane().lane.messages).toBe(false)
})
