// Credit and datagrams of Mux.Pro, at either end.
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { pieces } from '../anytls/support.ts'
import { write } from './frames.ts'
import { openClient, openServer, said, sendText, TCP, told, UDP } from './support.ts'
import type { Tested } from './support.ts'

const INITIAL = 65_536

/** Stream 1 of a client or a server, to the same end: TCP or UDP; nothing is left to take. */
function bothEnds(network: 'tcp' | 'udp'): Tested[] {
  const client = openClient()
  client.openStream(0, network === 'tcp' ? TCP : UDP)
  client.takeWrites()
  client.receive(write.keep(1), 0)
  const server = openServer()
  server.receive(write.new(1, { network: network === 'tcp' ? 1 : 2 }), 0)
  return [client, server]
}

function sendBytes(machine: Tested, bytes: number): void {
  machine.sendData(1, [new Uint8Array(bytes)], bytes, 0)
}

describe('credit', () => {
  it('D39: a sender has 65,536 bytes at the start, and MUST NOT send beyond what it is granted', () => {
    for (const machine of bothEnds('tcp')) {
      expect(machine.credit(1)).toBe(INITIAL)
      sendBytes(machine, machine.maxPayload)
      expect(machine.credit(1)).toBe(1)
      sendBytes(machine, 1)
      expect(machine.credit(1)).toBe(0)
      expect(told(machine.receive(write.credit(1, 500), 0))).toEqual(['credit 1'])
      expect(machine.credit(1)).toBe(500)
      expect(told(machine.receive(write.credit(1, 500), 0))).toEqual([])
      expect(machine.credit(1)).toBe(1_000)
      expect(machine.flowControlled).toBe(true)
    }
  })

  it('D39: initial data of a New counts', () => {
    const client = openClient()
    client.openStream(0, TCP)
    sendText(client, 1, 'hello')
    expect(client.credit(1)).toBe(INITIAL - 5)
    const server = openServer()
    server.receive(write.new(1, {}, new Uint8Array(60_000)), 0)
    expect(told(server.receive(write.keep(1, new Uint8Array(5_536)), 0)).length).toBe(1)
    expect(told(server.receive(write.keep(1, 'x'), 0))).toEqual(['close 1 ERR_PROTOCOL_VIOLATION'])
  })

  it('section 6.3.6: SHOULD return what is consumed: exactly that, once 32,768 bytes are due (D39)', () => {
    for (const machine of bothEnds('tcp')) {
      machine.receive(write.keep(1, new Uint8Array(50_000)), 0)
      machine.consumed(1, 32_767, 0)
      expect(said(machine)).toEqual([])
      machine.consumed(1, 10_000, 0)
      expect(said(machine)).toEqual(['CREDIT 1 42767'])
      machine.consumed(1, 7_233, 0)
      expect(said(machine)).toEqual([])
      // However fast it is read, the window does not grow.
      for (let round = 0; round < 4; round += 1) {
        machine.receive(write.keep(1, new Uint8Array(40_000)), 0)
        machine.consumed(1, 40_000, 0)
      }
      expect(said(machine)).toEqual([
        'CREDIT 1 47233',
        'CREDIT 1 40000',
        'CREDIT 1 40000',
        'CREDIT 1 40000',
      ])
    }
  })

  it('D39: increments of 1, 2, 4 and 8 bytes are taken, and the sum saturates', () => {
    for (const machine of bothEnds('tcp')) {
      sendBytes(machine, INITIAL - 1)
      sendBytes(machine, 1)
      const grant = (...bytes: readonly number[]) => {
        machine.receive(write.frame(1, 5, 1, [], Uint8Array.from(bytes)), 0)
        return machine.credit(1)
      }
      expect(grant(7)).toBe(7)
      expect(grant(1, 0)).toBe(263)
      expect(grant(0, 1, 0, 0)).toBe(65_799)
      expect(grant(0, 0, 0, 0, 0, 0, 0, 1)).toBe(65_800)
      expect(grant(...Array<number>(8).fill(0xff))).toBe(Number.MAX_SAFE_INTEGER)
      expect(grant(...Array<number>(8).fill(0xff))).toBe(Number.MAX_SAFE_INTEGER)
      expect(machine.current).toBe('open')
    }
  })

  it('D39: a sender that overruns gets End with code 3, and nothing else is harmed', () => {
    for (const size of [1, 1_000, 100_000]) {
      const server = openServer()
      server.receive(concatBytes([write.new(1), write.new(2)]), 0)
      const bytes = concatBytes([
        write.keep(1, new Uint8Array(65_535)),
        write.keep(1, 'xy'),
        write.keep(2, 'unharmed'),
      ])
      const events = pieces(bytes, size).flatMap((chunk) => server.receive(chunk, 0))
      const received = events.flatMap((event) =>
        event.type === 'data' && event.stream === 1 ? [event.data] : [],
      )
      expect(concatBytes(received).length, `pieces of ${size}`).toBe(INITIAL)
      expect(told(events.filter(({ type }) => type === 'close'))).toEqual([
        'close 1 ERR_PROTOCOL_VIOLATION',
      ])
      const others = events.flatMap((event) =>
        event.type === 'data' && event.stream === 2 ? [event.data] : [],
      )
      expect(new TextDecoder().decode(concatBytes(others))).toBe('unharmed')
      expect(said(server)).toEqual(['END 1 3'])
    }
  })

  it('stream data is told of as it comes, however its frame is cut', () => {
    for (const machine of bothEnds('tcp')) {
      const events = pieces(write.keep(1, 'abcdef'), 11).map((chunk) => machine.receive(chunk, 0))
      expect(events.map(told)).toEqual([['data 1 abc'], ['data 1 def']])
    }
  })

  it('credit for one sub-connection is none for another', () => {
    const server = openServer()
    server.receive(concatBytes([write.new(1), write.new(2), write.credit(2, 100)]), 0)
    expect([server.credit(1), server.credit(2)]).toEqual([INITIAL, INITIAL + 100])
  })
})

describe('datagrams', () => {
  it('D42: each is one Extra Data block, both ways', () => {
    for (const machine of bothEnds('udp')) {
      sendText(machine, 1, 'one')
      sendText(machine, 1, 'two')
      expect(said(machine)).toEqual(['KEEP 1 +one', 'KEEP 1 +two'])
      const bytes = concatBytes([write.keep(1, 'three'), write.keep(1, ''), write.keep(1, 'four')])
      for (const size of [1, 5, 100]) {
        const events = pieces(bytes, size).flatMap((chunk) => machine.receive(chunk, 0))
        expect(told(events)).toEqual(['data 1 three', 'data 1 four'])
      }
    }
  })

  it('D42: the first one in a New is whole as well', () => {
    const server = openServer()
    const bytes = write.new(1, { network: 2 }, 'first datagram')
    const events = pieces(bytes, 3).flatMap((chunk) => server.receive(chunk, 0))
    expect(told(events)).toEqual(['open 1', 'data 1 first datagram'])
  })

  it('D42: credit goes back with each, so that the largest can always be sent', () => {
    for (const machine of bothEnds('udp')) {
      machine.receive(write.keep(1, 'small'), 0)
      machine.consumed(1, 5, 0)
      expect(said(machine)).toEqual(['CREDIT 1 5'])
      machine.receive(write.keep(1, new Uint8Array(65_535)), 0)
      machine.consumed(1, 65_535, 0)
      expect(said(machine)).toEqual(['CREDIT 1 65535'])
      // What was given back is what was taken, and no more.
      machine.receive(write.keep(1, new Uint8Array(65_535)), 0)
      expect(told(machine.receive(write.keep(1, 'x'), 0))).toEqual(['data 1 x'])
      expect(told(machine.receive(write.keep(1, 'y'), 0))).toEqual([
        'close 1 ERR_PROTOCOL_VIOLATION',
      ])
    }
  })

  it('D42: more credit is always told, for it may now suffice for the datagram that waits', () => {
    for (const machine of bothEnds('udp')) {
      sendBytes(machine, 40_000)
      expect(told(machine.receive(write.credit(1, 40_000), 0))).toEqual(['credit 1'])
    }
  })

  it('D39, D42: one beyond the credit is not delivered, not even in part: End with code 3', () => {
    for (const machine of bothEnds('udp')) {
      machine.receive(write.keep(1, new Uint8Array(65_000)), 0)
      const message = expect.stringContaining('a datagram beyond the credit') as string
      expect(machine.receive(write.keep(1, new Uint8Array(537)), 0)).toMatchObject([
        { type: 'close', stream: 1, error: { code: 'ERR_PROTOCOL_VIOLATION', message } },
      ])
      expect(said(machine)).toEqual(['END 1 3'])
      expect(machine.current).toBe('open')
    }
  })
})
