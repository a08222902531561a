// The server machine by event and byte: the first record, negotiation, violations, streams it is asked for.
import { describe, expect, it } from 'vitest'
import { PeerCloseError } from '../../../src/errors.ts'
import { parseScheme } from '../../../src/shaping/scheme.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { write } from '../../support/v1-frames.ts'
import { toHex } from '../../codec/vectors.ts'
import {
  authenticatedServer,
  clientNego,
  fromRuns,
  HASH,
  makeServer,
  openServer,
  pieces,
  said,
  serverNego,
  told,
  unreadOf,
} from './support.ts'
import type { ServerSetup } from './support.ts'
import { authVectors } from './vectors.ts'

const NEGO = 'NEGO version=1\nserver=test/1\n'

describe('authentication', () => {
  it('draft, Authentication: AUTH MUST be in the first application-level data; anything else MUST fail and SHOULD be redirected (D14, D15)', () => {
    for (const { name, hex, matches } of authVectors.firstRecords) {
      const server = makeServer()
      const record = fromRuns(hex)
      const events = server.receive(record, 5)
      if (!matches) {
        expect(told(events), name).toEqual(['handover auth-failed'])
        expect(toHex(unreadOf(events) ?? new Uint8Array(1)), name).toBe(toHex(record))
        expect(server.current, name).toBe('handed-over')
      } else {
        expect(told(events).includes('handover auth-failed'), name).toBe(hex.includes('ff*100'))
      }
      // Whatever the first record was, an ANYTLS answer needs AUTH and NEGO.
      if (!hex.includes(' 03 ')) expect(server.takeWrites(), name).toEqual([])
    }
  })

  it('draft, Authentication: data in front of AUTH MUST make it fail, even in the same record', () => {
    const server = makeServer()
    const events = server.receive(concatBytes([write.padding(0), write.auth(HASH)]), 0)
    expect(told(events)).toEqual(['handover auth-failed'])
  })

  it('D14: a record that ends inside of the hash fails at once, though its bytes are right so far', () => {
    const auth = write.auth(HASH)
    for (const length of [1, 2, 3, 20, 33]) {
      const server = makeServer()
      expect(told(server.receive(auth.subarray(0, length), 0))).toEqual(['handover auth-failed'])
    }
  })

  it('D14: after the match the padding may arrive in any pieces, later', () => {
    const rest = concatBytes([write.auth(HASH, 300), write.clientNego(clientNego())])
    for (const size of [1, 7, 100]) {
      const server = makeServer()
      expect(server.receive(rest.subarray(0, 34), 0)).toEqual([])
      const events = pieces(rest.subarray(34), size).flatMap((piece) => server.receive(piece, 50))
      expect(told(events)).toEqual(['established peer/1'])
      expect(said(server)).toEqual([NEGO])
    }
  })

  it('D14: nothing is answered while padding is missing', () => {
    const server = makeServer()
    const auth = write.auth(HASH, 100)
    expect(server.receive(auth.subarray(0, 134), 0)).toEqual([])
    expect(server.takeWrites()).toEqual([])
  })

  it('D10, D15: padding above its cap is no authentication: every byte goes to the fallback', () => {
    const bytes = concatBytes([write.auth(HASH).subarray(0, 34), fromRuns('80010000 6161')])
    for (const first of [34, 36, bytes.length]) {
      const server = makeServer()
      const events = [
        ...server.receive(bytes.subarray(0, first), 0),
        ...(first < bytes.length ? server.receive(bytes.subarray(first), 0) : []),
      ]
      expect(told(events)).toEqual(['handover auth-failed'])
      expect(toHex(unreadOf(events) ?? new Uint8Array())).toBe(toHex(bytes))
      expect(server.takeWrites()).toEqual([])
    }
  })

  it('D16: silence until the authentication timeout hands over with nothing', () => {
    const server = makeServer({}, 500)
    expect(server.deadline).toBe(10_500)
    expect(server.timeout(10_499)).toEqual([])
    const events = server.timeout(10_500)
    expect(told(events)).toEqual(['handover auth-timeout'])
    expect(unreadOf(events)).toEqual(new Uint8Array(0))
    expect(server.deadline).toBe(Infinity)
  })

  it('D16: a match whose rest does not come in time hands over what there was', () => {
    const server = makeServer({ timeouts: { auth: 100 } })
    const bytes = concatBytes([write.auth(HASH).subarray(0, 34), Uint8Array.of(0x80)])
    server.receive(bytes.subarray(0, 34), 0)
    server.receive(bytes.subarray(34), 50)
    const events = server.timeout(100)
    expect(told(events)).toEqual(['handover auth-timeout'])
    expect(toHex(unreadOf(events) ?? new Uint8Array())).toBe(toHex(bytes))
  })

  it('D15: before authentication the server writes nothing, whatever happens', () => {
    const ends = {
      close: () => makeServer().close(0),
      abort: () => makeServer().abort(4, 0),
      eof: () => makeServer().endOfInput(0),
      timeout: () => makeServer().timeout(1e9),
    }
    for (const [name, end] of Object.entries(ends)) expect(end().length, name).toBe(1)
    const server = makeServer()
    expect(told(server.abort(4, 0))).toEqual(['closed'])
    expect(server.ping(0)).toBe(false)
    expect(server.takeWrites()).toEqual([])
  })
})

describe('negotiation', () => {
  it('draft, Version Negotiation: upon a NEGO the server MUST immediately respond with a NEGO', () => {
    const server = authenticatedServer()
    expect(server.takeWrites()).toEqual([])
    expect(told(server.receive(write.clientNego(clientNego()), 0))).toEqual(['established peer/1'])
    expect(said(server)).toEqual([NEGO])
    expect(server.current).toBe('open')
  })

  it('D3: the server NEGO goes out on stream 0', () => {
    const server = authenticatedServer()
    server.receive(write.clientNego(clientNego()), 0)
    const [only] = server.takeWrites()
    expect(toHex(only?.parts[0]?.subarray(0, 2) ?? new Uint8Array())).toBe('0400')
  })

  it('draft, Version Negotiation: an unsupported version MUST be answered with CLOSE at once, then the end (D20)', () => {
    for (const versions of ['2', '3,2', 'one', '10']) {
      const server = authenticatedServer()
      const nego = clientNego().replace('version=1', `version=${versions}`)
      const events = server.receive(concatBytes([write.clientNego(nego), write.open(1)]), 0)
      expect(told(events)).toEqual(['closed ERR_VERSION_UNSUPPORTED'])
      expect(said(server)).toEqual(['CLOSE 7'])
    }
  })

  it('D19: of several versions the one that both speak is selected', () => {
    const server = authenticatedServer()
    server.receive(write.clientNego(clientNego().replace('version=1', 'version=9,1')), 0)
    expect(said(server)).toEqual([NEGO])
  })

  it('draft, Padding Scheme Update: another scheme at the client MUST be answered with the own one at once (D23)', () => {
    const scheme = parseScheme('stop=2\n0=30-30\n1=9-9,c')
    const server = authenticatedServer({ scheme })
    server.receive(write.clientNego(clientNego('draft', '0'.repeat(32))), 0)
    expect(said(server)).toEqual([NEGO, `SCHEME ${scheme.text}\n`])
  })

  it('D23: the same scheme is not sent again, whatever the case of its digest', () => {
    const scheme = parseScheme('stop=2\n0=30-30')
    for (const digest of [scheme.digest, scheme.digest.toUpperCase()]) {
      const server = authenticatedServer({ scheme })
      server.receive(write.clientNego(clientNego('draft', digest)), 0)
      expect(said(server)).toEqual([NEGO])
    }
  })

  it('D19: a second NEGO and a STREAM frame before NEGO are violations', () => {
    const second = openServer()
    expect(told(second.receive(write.clientNego(clientNego()), 0))).toEqual([
      'closed ERR_PROTOCOL_VIOLATION',
    ])
    expect(said(second)).toEqual(['ALERT client-nego while open'])
    for (const frame of [write.open(1), write.data(1, 'x'), write.stream(0, 1), write.ping()]) {
      const server = authenticatedServer()
      expect(told(server.receive(frame, 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
      expect(said(server)[0]).toMatch(/^ALERT .* while await-nego$/)
    }
  })

  it('D34: the direction of the server is shaped when asked for, and only then', () => {
    const downlinkScheme = parseScheme('stop=3\n0=5-5\n1=100-100\n2=200-200')
    const writesOf = (setup: ServerSetup) => {
      const server = authenticatedServer(setup)
      server.receive(write.clientNego(clientNego()), 0)
      server.receive(concatBytes([write.open(1), write.open(2), write.open(3)]), 0)
      for (const stream of [1, 2, 3]) server.acceptStream(stream, 0)
      return server.takeWrites().map(({ shaped, bytes }) => [shaped, bytes])
    }
    const nego = write.serverNego(NEGO.slice(5)).length
    const sparse = { downlinkScheme: parseScheme('stop=9\n0=7-7\n4=60-60') }
    expect(writesOf(sparse).slice(1)).toEqual(Array(3).fill([true, 60]))
    expect(writesOf({})).toEqual([[false, nego + 3 * 2]])
    expect(writesOf({ downlinkScheme })).toEqual([
      [true, nego],
      [true, 100],
      [true, 200],
      [false, 2],
    ])
  })
})

describe('violations', () => {
  const bad: Record<string, Uint8Array> = {
    'an unknown type (D12)': fromRuns('3f 00'),
    'a control frame on a stream (D4)': fromRuns('07 01'),
    'a STREAM frame on stream 0 (D4)': fromRuns('0a 00 00'),
    'a second AUTH (D9)': write.auth(HASH, 3),
    'a server NEGO (D9)': write.serverNego(serverNego()),
    'PADDING_UPDATE_SCHEME (D9)': write.schemeUpdate('stop=1\n'),
    'STREAM_ACK (D9)': write.ack(1),
    'GOAWAY (D9)': write.goaway(0, 0),
    'a stream that was never opened (D11)': write.data(9, 'x'),
    'OPEN of an id that was used (D11)': write.open(1),
    'OPEN of the last id (D11)': write.open(3),
    'OPEN of a lower id (D11)': write.open(2),
    'a body above its cap (D10)': fromRuns('01 00 80010000'),
    'a stream id above 2^53-1 (D2)': fromRuns('0c ffffffffffffffff'),
  }
  const before = concatBytes([write.open(1), write.open(3), write.data(3, 'ok')])

  it('draft, Authentication: data that does not conform SHOULD get an ALERT, and the end (D17)', () => {
    for (const [name, frame] of Object.entries(bad)) {
      const server = openServer()
      const events = server.receive(concatBytes([before, frame, write.open(4)]), 0)
      expect(told(events), name).toEqual([
        'open 1',
        'open 3',
        'data 3 ok',
        'closed ERR_PROTOCOL_VIOLATION',
      ])
      const alert = said(server)
      expect(alert.length, name).toBe(1)
      expect(alert[0], name).toMatch(/^ALERT [\x20-\x7e]+$/)
      expect(server.current, name).toBe('closed')
      expect(server.streamCount, name).toBe(0)
    }
  })

  it('draft, Authentication: or it SHOULD be redirected: handover from the first byte of the offending frame on (D17)', () => {
    const tail = fromRuns('01 02 03 04')
    for (const [name, frame] of Object.entries(bad)) {
      for (const size of [1, 2, 5, 1000]) {
        const server = openServer({ onViolation: 'handover' })
        const list = pieces(concatBytes([before, frame, tail]), size)
        const events = []
        while (server.current === 'open') events.push(...server.receive(list.shift()!, 0))
        expect(told(events).at(-1), name).toBe('handover violation')
        const unread = concatBytes([unreadOf(events) ?? new Uint8Array(), ...list])
        expect(toHex(unread), name).toBe(toHex(concatBytes([frame, tail])))
        expect(server.takeWrites(), name).toEqual([])
        expect(server.streamCount, name).toBe(0)
      }
    }
  })

  it('D17: a malformed NEGO is handed over whole, its body too', () => {
    const frame = write.clientNego('version=1\nclient=a\n')
    const server = authenticatedServer({ onViolation: 'handover' })
    const events = server.receive(concatBytes([frame, write.ping()]), 0)
    expect(told(events)).toEqual(['handover violation'])
    expect(toHex(unreadOf(events) ?? new Uint8Array())).toBe(
      toHex(concatBytes([frame, write.ping()])),
    )
  })

  it('what follows a violation, in the same chunk or later, causes nothing', () => {
    const server = openServer()
    server.receive(concatBytes([fromRuns('3f'), write.open(1), write.ping()]), 0)
    server.takeWrites()
    expect(server.receive(write.open(1), 1)).toEqual([])
    expect(server.timeout(1e9)).toEqual([])
    expect(server.takeWrites()).toEqual([])
    expect(server.deadline).toBe(Infinity)
  })
})

describe('streams', () => {
  it('draft, Streams: a stream is there once a STREAM frame with OPEN has come, not before', () => {
    const server = openServer()
    expect(told(server.receive(write.open(1), 0))).toEqual(['open 1'])
    expect(told(server.receive(write.data(1, 'hi'), 0))).toEqual(['data 1 hi'])
    for (const early of [write.data(1, 'hi'), write.rst(1), write.stream(0, 1)]) {
      const strict = openServer()
      expect(told(strict.receive(early, 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
      expect(said(strict)[0]).toMatch(/^ALERT /)
    }
  })

  it('draft, Stream Identifiers: ids MUST increase; gaps are legal, and what lies in them was never opened', () => {
    const server = openServer()
    expect(told(server.receive(concatBytes([write.open(5), write.open(9)]), 0))).toEqual([
      'open 5',
      'open 9',
    ])
    // D11: at or below the highest, so ignored in silence.
    expect(server.receive(concatBytes([write.data(7, 'x'), write.rst(2)]), 0)).toEqual([])
    expect(told(server.receive(write.open(7), 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
    expect(said(server)).toEqual(['ALERT stream 7 opened out of order'])
  })

  it('D5: OPEN, DATA and RST of one frame are applied in that order', () => {
    const expected: Record<number, string[]> = {
      4: ['open 1'],
      5: ['open 1', 'close 1'],
      6: ['open 1', 'data 1 x'],
      7: ['open 1', 'data 1 x', 'close 1'],
    }
    for (const [flags, events] of Object.entries(expected)) {
      expect(told(openServer().receive(write.stream(Number(flags), 1, 'x'), 0))).toEqual(events)
    }
    const others: Record<number, string[]> = {
      0: [],
      1: ['close 1'],
      2: ['data 1 x'],
      3: ['data 1 x', 'close 1'],
    }
    for (const [flags, events] of Object.entries(others)) {
      const server = openServer()
      server.receive(write.open(1), 0)
      expect(told(server.receive(write.stream(Number(flags), 1, 'x'), 0))).toEqual(events)
    }
  })

  it('D6: RST ends both directions and is not answered', () => {
    const server = openServer()
    server.receive(concatBytes([write.open(1), write.data(1, 'last'), write.rst(1)]), 0)
    server.sendData(1, [new Uint8Array(3)], 3, 0)
    server.acceptStream(1, 0)
    server.finishStream(1, 0)
    server.resetStream(1, 0, '', 0)
    expect(server.takeWrites()).toEqual([])
    expect(server.credit(1)).toBe(0)
    expect(server.receive(write.data(1, 'late'), 0)).toEqual([])
  })

  it('D6: without mux1, the end of the answer is RST, behind its data', () => {
    const server = openServer()
    server.receive(write.open(1), 0)
    server.acceptStream(1, 0)
    expect(server.credit(1)).toBe(Number.MAX_SAFE_INTEGER)
    server.sendData(1, [new TextEncoder().encode('all')], 3, 0)
    expect(told(server.finishStream(1, 0))).toEqual(['close 1'])
    expect(said(server)).toEqual(['ACK 1', 'DATA 1 all', 'RST 1'])
  })

  it('D7: STREAM_ACK is sent when the application accepts, once; a refusal is RST', () => {
    const server = openServer()
    server.receive(concatBytes([write.open(1), write.open(2)]), 0)
    expect(server.takeWrites()).toEqual([])
    server.acceptStream(1, 0)
    server.acceptStream(1, 0)
    server.resetStream(2, 5, 'no route', 0)
    expect(said(server)).toEqual(['ACK 1', 'RST 2'])
  })

  it('streams above maxStreams are refused one by one, the others go on', () => {
    const server = openServer({ maxStreams: 1 })
    const frames = [write.open(1), write.stream(6, 2, 'x'), write.data(2, 'y'), write.data(1, 'z')]
    expect(told(server.receive(concatBytes(frames), 0))).toEqual(['open 1', 'data 1 z'])
    expect(said(server)).toEqual(['RST 2'])
    server.receive(concatBytes([write.rst(1), write.open(3)]), 0)
    expect(server.streamCount).toBe(1)
  })

  it('D9, D27: a server opens no streams', () => {
    const server = openServer()
    expect(server.mayOpen).toBe(false)
    expect(() => server.openStream(0)).toThrow(
      expect.objectContaining({ code: 'ERR_STREAM_LIMIT' }) as Error,
    )
  })
})

describe('the end', () => {
  it('closing lets streams run to their end, refuses new ones, then says CLOSE 0', () => {
    const server = openServer()
    server.receive(write.open(1), 0)
    expect(told(server.close(0))).toEqual(['draining'])
    expect(server.close(0)).toEqual([])
    expect(server.receive(write.open(2), 0)).toEqual([])
    expect(told(server.receive(write.rst(1), 0))).toEqual(['close 1', 'closed'])
    expect(said(server)).toEqual(['RST 2', 'CLOSE 0'])
  })

  it('D21: abort tells its code, or a reason in words', () => {
    const [server, other] = [openServer(), openServer()]
    expect(told(server.abort(4, 0))).toEqual(['closed'])
    expect(said(server)).toEqual(['CLOSE 4'])
    expect(told(other.abort(4, 0, 'no traffic is left'))).toEqual(['closed'])
    expect(said(other)).toEqual(['ALERT no traffic is left'])
  })

  it('CLOSE and ALERT from the client end the connection', () => {
    expect(told(openServer().receive(write.close(0), 0))).toEqual(['closed'])
    const [event] = openServer().receive(write.close(2), 0)
    expect(event?.type === 'closed' && event.error).toBeInstanceOf(PeerCloseError)
    expect(told(openServer().receive(write.alert('x'), 0))).toEqual(['closed ERR_ALERT_RECEIVED'])
  })

  it('the end of the input is in order without streams, and an error before NEGO or with them', () => {
    expect(told(openServer().endOfInput(0))).toEqual(['closed'])
    expect(told(authenticatedServer().endOfInput(0))).toEqual(['closed ERR_CONNECTION_LOST'])
    const server = openServer()
    server.receive(write.open(1), 0)
    expect(told(server.endOfInput(0))).toEqual(['closed ERR_CONNECTION_LOST'])
  })

  it('draft, Authentication: the state machines MUST be independent: a server moves on its own input alone', () => {
    // Closed by itself, the client unaware: what it still sends changes nothing.
    const server = openServer()
    server.abort(0, 0)
    const late = [write.open(1), write.ping(), write.clientNego(clientNego()), fromRuns('ff')]
    for (const frame of late) expect(server.receive(frame, 1)).toEqual([])
    expect(server.current).toBe('closed')
    expect(server.takeWrites().length).toBe(1)
  })
})
