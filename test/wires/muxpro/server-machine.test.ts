// The Mux.Pro server by event and byte: negotiation, sub-connections of clients, their ends.
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { MAX_OPENINGS_PER_CALL } from '../../../src/engine/machine.ts'
import { RESET_BURST } from '../../../src/engine/reset-budget.ts'
import { write } from './frames.ts'
import { bytesOf, makeServer, openServer, said, sendText, told } from './support.ts'

describe('negotiation', () => {
  it('section 5.2: MUST answer with the highest version in common and nothing else', () => {
    const server = makeServer()
    expect(told(server.receive(write.negotiate(0x1_0000, 5, 0), 0))).toEqual([
      'established MuxPro/0.0',
    ])
    expect(said(server)).toEqual(['NEGOTIATE 0'])
    expect(server.current).toBe('open')
  })

  it('D36: the answer has the form of the question', () => {
    const server = makeServer()
    server.receive(write.negotiateGo(7, 0), 0)
    expect(said(server)).toEqual(['NEGOTIATE-GO 0'])
  })

  it('section 5.2: without a version in common the connection MUST close at once, without a byte', () => {
    for (const versions of [[], [1], [0x1_0000, 0xffff_ffff]]) {
      for (const frame of [write.negotiate(...versions), write.negotiateGo(...versions)]) {
        const server = makeServer()
        expect(told(server.receive(frame, 0))).toEqual(['closed ERR_VERSION_UNSUPPORTED'])
        expect(server.takeWrites()).toEqual([])
      }
    }
  })

  it('section 6.3.1: NegotiateVersion MUST be the first frame of the client', () => {
    for (const frame of [write.new(1), write.keep(1), write.keepAlive(), write.end(1)]) {
      const server = makeServer()
      expect(told(server.receive(frame, 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
      expect(server.takeWrites()).toEqual([])
    }
  })

  it('section 6.3.1: a second NegotiateVersion is a protocol error', () => {
    const server = openServer()
    expect(told(server.receive(write.negotiate(0), 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
  })

  it('a client that does not negotiate is given up, after 10 s by default', () => {
    const server = makeServer({}, 500)
    expect(server.deadline).toBe(10_500)
    expect(told(server.timeout(10_500))).toEqual(['closed ERR_CONNECTION_TIMEOUT'])
    expect(server.takeWrites()).toEqual([])
  })
})

describe('sub-connections', () => {
  it('section 5.2: a New is told with its target, and its initial data follow', () => {
    const server = openServer()
    const host = [...new TextEncoder().encode('a.example')]
    const name = { network: 2, priority: 7, port: 53, type: 2, address: [host.length, ...host] }
    const bytes = concatBytes([write.new(3, {}, 'GET /'), write.new(9, name, 'query')])
    expect(server.receive(bytes, 0)).toEqual([
      {
        type: 'open',
        stream: 3,
        request: { network: 'tcp', target: { host: '192.0.2.1', port: 80 }, priority: 128 },
      },
      { type: 'data', stream: 3, data: new TextEncoder().encode('GET /') },
      {
        type: 'open',
        stream: 9,
        request: { network: 'udp', target: { host: 'a.example', port: 53 }, priority: 7 },
      },
      { type: 'data', stream: 9, data: new TextEncoder().encode('query') },
    ])
  })

  it('section 5.2: what is sent on a sub-connection MUST have the id of the client', () => {
    const server = openServer()
    server.receive(write.new(40_000), 0)
    server.acceptStream(40_000, 0)
    sendText(server, 40_000, 'answer')
    expect(said(server)).toEqual(['KEEP 40000', 'KEEP 40000 +answer'])
  })

  it('section 5.2: MUST NOT send New: a server opens nothing', () => {
    const server = openServer()
    expect(server.mayOpen).toBe(false)
    expect(() => server.openStream(0)).toThrow(
      expect.objectContaining({ code: 'ERR_STREAM_LIMIT' }),
    )
    expect(server.takeWrites()).toEqual([])
  })

  it('D41: a client that asks to go before the first priority it may have gets that one', () => {
    const server = openServer({ firstPriority: 100 })
    const told = [0, 99, 100, 101, 255].map((priority, index) => {
      const [event] = server.receive(write.new(index + 1, { priority }), 0)
      return event?.type === 'open' ? event.request?.priority : undefined
    })
    expect(told).toEqual([100, 100, 100, 101, 255])
  })

  it('section 6.3.2: ids of clients may come in any order, and again once they are free', () => {
    const server = openServer()
    for (const id of [65_535, 1, 500]) server.receive(write.new(id), 0)
    expect(told(server.receive(concatBytes([write.end(500), write.new(500)]), 0))).toEqual([
      'close 500',
      'open 500',
    ])
    expect(server.streamCount).toBe(3)
  })

  it('section 6.3.2: a New with an id in use ends that sub-connection with code 3, and no other', () => {
    const server = openServer()
    server.receive(concatBytes([write.new(1), write.new(2)]), 0)
    for (const frame of [write.new(1, {}, 'more'), write.new(2, { network: 7 }, 'more')]) {
      const id = frame[3]
      const message = expect.stringContaining(`id ${id}, which is in use`) as string
      expect(server.receive(frame, 0)).toMatchObject([
        { type: 'close', stream: id, error: { code: 'ERR_PROTOCOL_VIOLATION', message } },
      ])
      expect(said(server)).toEqual([`END ${id} 3`])
    }
    expect(server.current).toBe('open')
  })

  it('section 6.3.2: an unknown network or address, or a name that is none, is refused with code 3', () => {
    const server = openServer()
    const unusable = [
      { network: 3 },
      { network: 0 },
      { type: 0 },
      { type: 4 },
      { type: 2, address: [0] },
      { type: 2, address: [3, 0x61, 0x00, 0x62] },
    ]
    for (const target of unusable) {
      expect(told(server.receive(write.new(5, target, 'data'), 0))).toEqual([])
      expect(said(server), JSON.stringify(target)).toEqual(['END 5 3'])
    }
    expect(told(server.receive(write.new(5), 0))).toEqual(['open 5'])
  })

  it('D47: what is refused so counts as an opening', () => {
    const server = openServer()
    server.receive(concatBytes(Array<Uint8Array>(100).fill(write.new(5, { network: 3 }))), 0)
    expect(server.hasMore).toBe(true)
    expect(said(server)).toHaveLength(MAX_OPENINGS_PER_CALL)
  })

  it('D47: too many resets end the others with code 4', () => {
    const server = openServer()
    server.receive(write.new(1), 0)
    const wasted = concatBytes([write.new(2), write.end(2)])
    for (let count = 0; count < RESET_BURST; count += 1) server.receive(wasted, 0)
    server.takeWrites()
    expect(told(server.receive(wasted, 0)).at(-1)).toBe('closed ERR_TOO_MANY_RESETS')
    expect(said(server)).toEqual(['END 1 4'])
  })

  it('section 6.3.4: too many sub-connections are refused with code 4, the others go on', () => {
    const server = openServer({ maxStreams: 2 })
    const bytes = [1, 2, 3].map((id) => write.new(id, {}, `data ${id}`))
    expect(told(server.receive(concatBytes(bytes), 0))).toEqual([
      'open 1',
      'data 1 data 1',
      'open 2',
      'data 2 data 2',
    ])
    expect(said(server)).toEqual(['END 3 4'])
    server.receive(write.end(1), 0)
    expect(told(server.receive(write.new(3), 0))).toEqual(['open 3'])
  })

  it('section 6.3.4: a stopping server refuses with code 6, lets the others end, and is over', () => {
    const server = openServer()
    server.receive(write.new(1), 0)
    expect(told(server.close(0))).toEqual(['draining'])
    expect(told(server.receive(write.new(2, {}, 'data'), 0))).toEqual([])
    expect(said(server)).toEqual(['END 2 6'])
    expect(told(server.receive(write.end(1), 0))).toEqual(['close 1', 'closed'])
  })

  it('D38: the end of the writable side is End: the answer is complete', () => {
    const server = openServer()
    server.receive(write.new(1), 0)
    sendText(server, 1, 'answer')
    expect(told(server.finishStream(1, 0))).toEqual(['close 1'])
    expect(said(server)).toEqual(['KEEP 1 +answer', 'END 1 0'])
  })

  it('section 6.3.4: a refusal goes with its code', () => {
    const server = openServer()
    server.receive(write.new(1), 0)
    server.resetStream(1, 5, 'connection refused', 0)
    expect(said(server)).toEqual(['END 1 5'])
  })

  it('section 5.2: an End of the client is told, with its code', () => {
    const server = openServer()
    server.receive(concatBytes([write.new(1), write.new(2)]), 0)
    expect(told(server.receive(write.end(1), 0))).toEqual(['close 1'])
    expect(told(server.receive(write.end(2, 1), 0))).toEqual(['close 2 ERR_STREAM_RESET'])
  })
})

describe('a client that breaks the protocol', () => {
  const violations = {
    'KeepAlive with options': write.frame(0, 4, 1),
    'KeepAlive with Extra Data': write.frame(7, 4, 1, [], 'data'),
    'New with the id 0': write.new(0),
    'Keep with the id 0': write.keep(0, 'data'),
    'End with the id 0': write.end(0),
    'CreditUpdate with the id 0': write.credit(0, 1),
    'metadata over 512 bytes': write.frame(1, 2, 0, Array<number>(509).fill(0)),
    'an unknown state': write.frame(1, 6, 0),
    'an increment of 3 bytes': write.frame(1, 5, 1, [], 'abc'),
    'CreditUpdate without D': write.frame(1, 5, 0),
    'a target that is cut off': write.new(9, { address: [192, 0, 2] }),
  }

  it('D40: it closes the main connection, and every sub-connection is told', () => {
    for (const [name, bytes] of Object.entries(violations)) {
      const server = openServer()
      server.receive(concatBytes([write.new(1), write.new(2)]), 0)
      expect(told(server.receive(bytes, 0)), name).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
      expect(said(server), name).toEqual(['END 1 3', 'END 2 3'])
      expect(server.receive(write.new(3), 0), name).toEqual([])
      expect([server.streamCount, server.deadline], name).toEqual([0, Infinity])
    }
  })

  it('what came before the violation is delivered', () => {
    const server = openServer()
    const bytes = concatBytes([write.new(1, {}, 'good'), write.keep(0), write.new(2)])
    expect(told(server.receive(bytes, 0))).toEqual([
      'open 1',
      'data 1 good',
      'closed ERR_PROTOCOL_VIOLATION',
    ])
    expect(bytesOf(server.takeWrites()).length).toBe(8)
  })
})
