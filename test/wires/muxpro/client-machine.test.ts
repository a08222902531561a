// The Mux.Pro client by event and byte: negotiation, sub-connections it opens, their ends.
import { describe, expect, it } from 'vitest'
import { thrownBy, toHex } from '../../codec/vectors.ts'
import { write } from './frames.ts'
import { bytesOf, makeClient, openClient, said, sendText, TCP, told, UDP } from './support.ts'

describe('negotiation', () => {
  it('section 5.1: NegotiateVersion MUST be the first frame, at once, with all versions, the highest first', () => {
    const bytes = bytesOf(makeClient().takeWrites())
    expect(toHex(bytes)).toBe('0005' + '0000' + '00' + '01' + '01' + '0004' + '00000000')
  })

  it('section 5.1: MUST NOT send any other frame until a valid answer; what waited leaves then, in order', () => {
    const client = makeClient()
    expect(said(client)).toEqual(['NEGOTIATE 0'])
    expect(client.openStream(0, TCP)).toBe(1)
    expect(client.openStream(0, { ...UDP, target: { host: 'example.com', port: 53 } })).toBe(2)
    client.openStream(0, TCP)
    expect(client.credit(1)).toBe(0)
    client.finishStream(2, 0)
    client.resetStream(3, 6, '', 0)
    expect(said(client)).toEqual([])
    expect(told(client.receive(write.negotiate(0), 5))).toEqual([
      'established MuxPro/0.0',
      'credit 1',
      'credit 2',
    ])
    expect(client.credit(1)).toBe(65_536)
    expect(said(client)).toEqual(['NEW 1 tcp 192.0.2.1:80 p128', 'NEW 2 udp example.com:53 p128'])
  })

  it('D36: an answer is taken in either form', () => {
    for (const answer of [write.negotiate(0), write.negotiateGo(0)]) {
      const client = makeClient()
      expect(told(client.receive(answer, 0))).toEqual(['established MuxPro/0.0'])
      expect(client.current).toBe('open')
    }
  })

  it('D36: the count goes before the list where a peer wants it there', () => {
    expect(said(makeClient({ countPlace: 'extra-data' }))).toEqual(['NEGOTIATE-GO 0'])
  })

  it('section 6.3.1: an answer with no version, or with two, is a protocol error', () => {
    for (const versions of [[], [0, 0]]) {
      const client = makeClient()
      const number = versions.length
      const message = expect.stringContaining(`${number} versions instead of one`) as string
      expect(client.receive(write.negotiate(...versions), 0)).toMatchObject([
        { type: 'closed', error: { code: 'ERR_PROTOCOL_VIOLATION', message } },
      ])
    }
  })

  it('section 5.2: an answer with a version that was not offered ends the connection', () => {
    const client = makeClient()
    expect(told(client.receive(write.negotiate(1), 0))).toEqual(['closed ERR_VERSION_UNSUPPORTED'])
    expect(client.current).toBe('closed')
  })

  it('anything else before the answer is a protocol error, and says that this is no Mux.Pro', () => {
    for (const frame of [write.keep(1), write.keepAlive(), write.end(1), write.credit(1, 1)]) {
      const client = makeClient()
      client.takeWrites()
      const [event] = client.receive(frame, 0)
      expect(event?.type === 'closed' && event.error?.message).toContain('did not negotiate')
      expect(said(client)).toEqual([])
    }
  })

  it('a server that does not answer is given up, after 10 s by default', () => {
    const client = makeClient({}, 1_000)
    client.openStream(1_000, TCP)
    expect(client.deadline).toBe(11_000)
    expect(told(client.timeout(11_000))).toEqual(['closed ERR_CONNECTION_TIMEOUT'])
    expect(client.deadline).toBe(Infinity)
  })

  it('a server that ends before its answer is a lost connection', () => {
    const message = 'the peer did not negotiate as Mux.Pro'
    expect(makeClient().endOfInput(0)).toMatchObject([
      { type: 'closed', error: { code: 'ERR_CONNECTION_LOST', message } },
    ])
  })
})

describe('opening', () => {
  it('section 5.1: each sub-connection MUST begin with a New, and goes on with Keep', () => {
    const client = openClient()
    client.openStream(0, TCP)
    expect(said(client)).toEqual(['NEW 1 tcp 192.0.2.1:80 p128'])
    sendText(client, 1, 'hello')
    sendText(client, 1, 'again')
    expect(said(client)).toEqual(['KEEP 1 +hello', 'KEEP 1 +again'])
  })

  it('section 6.3.2: data that is there in time rides on the New', () => {
    const client = openClient()
    client.openStream(0, TCP)
    client.openStream(0, UDP)
    sendText(client, 2, 'datagram')
    sendText(client, 2, 'other')
    expect(said(client)).toEqual([
      'NEW 2 udp 192.0.2.1:80 p128 +datagram',
      'KEEP 2 +other',
      'NEW 1 tcp 192.0.2.1:80 p128',
    ])
  })

  it('section 6.3.2: every kind of address, and the priority, go as they were asked for', () => {
    const client = openClient()
    client.openStream(0, { network: 'tcp', target: { host: 'a.example', port: 1 }, priority: 0 })
    client.openStream(0, { network: 'udp', target: { host: '::1', port: 65_535 }, priority: 255 })
    expect(said(client)).toEqual([
      'NEW 1 tcp a.example:1 p0',
      'NEW 2 udp 0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1:65535 p255',
    ])
  })

  it('D43: ids go upward, wrap past 65,535, skip 0 and those in use', () => {
    const client = openClient()
    expect([client.openStream(0, TCP), client.openStream(0, TCP)]).toEqual([1, 2])
    client.useUpIds(65_534)
    expect(client.openStream(0, TCP)).toBe(65_535)
    client.resetStream(1, 0, '', 0)
    expect([client.openStream(0, TCP), client.openStream(0, TCP)]).toEqual([1, 3])
  })

  it('D43: with every id in use but one, that one is found', () => {
    const client = openClient({ maxStreams: 65_535 })
    for (let id = 1; id <= 65_535; id += 1) client.openStream(0, TCP)
    expect(client.mayOpen).toBe(false)
    expect(() => client.openStream(0, TCP)).toThrow(
      expect.objectContaining({ code: 'ERR_STREAM_LIMIT' }),
    )
    client.resetStream(777, 0, '', 0)
    expect(client.openStream(0, TCP)).toBe(777)
  })

  it('what cannot be asked for is refused, and leaves nothing behind', () => {
    const client = openClient()
    const wrong = [undefined, { ...TCP, priority: 300 }, { ...TCP, target: { host: '', port: 1 } }]
    const codes = wrong.map((request) => {
      const error = thrownBy(() => client.openStream(0, request), JSON.stringify(request))
      return (error as { code?: string }).code
    })
    expect(codes).toEqual(['ERR_OPTION_INVALID', 'ERR_OPTION_INVALID', 'ERR_ADDRESS_INVALID'])
    expect([client.streamCount, said(client), client.openStream(0, TCP)]).toEqual([0, [], 1])
  })

  it('a frame of the server on a sub-connection shows that it serves it', () => {
    const client = openClient()
    for (let id = 1; id <= 3; id += 1) client.openStream(0, TCP)
    expect(told(client.receive(write.keep(1), 0))).toEqual(['accept 1'])
    expect(told(client.receive(write.keep(1, 'data'), 0))).toEqual(['data 1 data'])
    expect(told(client.receive(write.keep(2, 'data'), 0))).toEqual(['accept 2', 'data 2 data'])
    expect(told(client.receive(write.end(3), 0))).toEqual(['accept 3', 'close 3'])
  })

  it('a sub-connection that is never answered stays open: this wire has no answer to a New', () => {
    const client = openClient({ timeouts: { keepalive: Infinity } })
    client.openStream(0, TCP)
    expect(client.deadline).toBe(3_600_000)
    expect(told(client.timeout(3_600_000))).toEqual(['close 1 ERR_STREAM_TIMEOUT'])
    expect(said(client)).toEqual([])
  })
})

describe('ends', () => {
  it('section 5.1: a sub-connection that concludes MUST be told by End, with its code (D38)', () => {
    const client = openClient()
    for (const code of [0, 1, 2, 3, 4, 5, 6] as const) {
      const id = client.openStream(0, TCP)
      client.takeWrites()
      expect(client.resetStream(id, code, 'ignored', 0)).toEqual([])
      expect(said(client)).toEqual([`END ${id} ${code}`])
    }
    expect(client.streamCount).toBe(0)
  })

  it('what was never told to the server needs no End', () => {
    const client = openClient()
    client.openStream(0, TCP)
    client.resetStream(1, 1, '', 0)
    expect(said(client)).toEqual([])
  })

  it('D38: End closes both directions, what came before it is delivered first', () => {
    const client = openClient()
    client.openStream(0, TCP)
    const bytes = new Uint8Array([...write.keep(1, 'last words'), ...write.end(1)])
    expect(told(client.receive(bytes, 0))).toEqual(['accept 1', 'data 1 last words', 'close 1'])
    sendText(client, 1, 'too late')
    expect(client.credit(1)).toBe(0)
    expect(said(client)).toEqual([])
  })

  it('section 6.3.4: the code of an End reaches the application, also one without a name', () => {
    const client = openClient()
    for (const code of [1, 5, 6, 999]) {
      const id = client.openStream(0, TCP)
      const [event] = client.receive(write.end(id, code), 0)
      expect(event).toMatchObject({
        type: 'close',
        error: { code: 'ERR_STREAM_RESET', closeCode: code },
      })
    }
  })

  it('D38: the end of the writable side waits for the answer, and for silence of 30 s after it', () => {
    const client = openClient({ timeouts: { keepalive: Infinity } })
    client.openStream(0, TCP)
    sendText(client, 1, 'question', 10)
    expect(client.finishStream(1, 10)).toEqual([])
    expect(said(client)).toEqual(['NEW 1 tcp 192.0.2.1:80 p128 +question'])
    expect(told(client.receive(write.keep(1, 'an'), 20_000))).toEqual(['accept 1', 'data 1 an'])
    expect(client.timeout(30_010)).toEqual([])
    expect(told(client.receive(write.keep(1, 'swer'), 40_000))).toEqual(['data 1 swer'])
    expect(client.timeout(50_000)).toEqual([])
    expect(told(client.timeout(70_000))).toEqual(['close 1'])
    expect(said(client)).toEqual(['END 1 0'])
  })

  it('D50: the End of the server is answered with one, once, whatever its code', () => {
    for (const code of [undefined, 0, 1, 999]) {
      const client = openClient()
      client.openStream(0, TCP)
      client.takeWrites()
      client.receive(write.end(1, code), 0)
      expect(said(client)).toEqual(['END 1 0'])
      client.receive(write.end(1, code), 0)
      expect(said(client)).toEqual([])
    }
  })

  it('D50: frames of a sub-connection that is gone are dropped, an End too: they raced its end', () => {
    const client = openClient()
    client.openStream(0, TCP)
    client.resetStream(1, 0, '', 0)
    client.takeWrites()
    for (const frame of [write.keep(1, 'data'), write.credit(1, 5), write.end(1), write.keep(9)]) {
      expect(client.receive(frame, 0)).toEqual([])
    }
    expect(said(client)).toEqual([])
    expect(client.current).toBe('open')
  })

  it('section 5.1: closing SHOULD not be abrupt: sub-connections run to their end, then the connection ends', () => {
    const client = openClient()
    client.openStream(0, TCP)
    expect(told(client.close(0))).toEqual(['draining'])
    expect(() => client.openStream(0, TCP)).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_DRAINING' }),
    )
    expect(said(client)).toEqual(['NEW 1 tcp 192.0.2.1:80 p128'])
    expect(told(client.receive(write.end(1), 0))).toEqual(['accept 1', 'close 1', 'closed'])
    expect(said(client)).toEqual(['END 1 0'])
  })

  it('closed before the answer, what was asked for is still served', () => {
    const client = makeClient()
    client.openStream(0, TCP)
    client.takeWrites()
    expect(told(client.close(0))).toEqual(['draining'])
    expect(told(client.receive(write.negotiate(0), 0))).toEqual([
      'established MuxPro/0.0',
      'credit 1',
    ])
    expect(said(client)).toEqual(['NEW 1 tcp 192.0.2.1:80 p128'])
    expect(told(client.receive(write.end(1, 0), 0))).toEqual(['accept 1', 'close 1', 'closed'])
  })

  it('section 5.1: ended at once, each sub-connection is told, and not as if it were complete', () => {
    const client = openClient()
    client.openStream(0, TCP)
    client.openStream(0, TCP)
    client.takeWrites()
    client.openStream(0, TCP)
    expect(told(client.abort(0, 0))).toEqual(['closed'])
    expect(said(client)).toEqual(['END 1 1', 'END 2 1'])
  })
})

describe('a server that breaks the protocol', () => {
  it('D40: New from a server closes the main connection, and each sub-connection hears of it', () => {
    const client = openClient()
    client.openStream(0, TCP)
    client.takeWrites()
    expect(told(client.receive(write.new(2), 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
    expect(said(client)).toEqual(['END 1 3'])
  })

  it('section 5.2: a New that asks for what is unknown is no better', () => {
    const events = openClient().receive(write.new(2, { network: 9 }), 0)
    expect(told(events)).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
  })

  it('section 6.3.1: a second NegotiateVersion is a protocol error', () => {
    expect(told(openClient().receive(write.negotiate(0), 0))).toEqual([
      'closed ERR_PROTOCOL_VIOLATION',
    ])
  })
})
