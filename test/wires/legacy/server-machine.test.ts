// The server machine of the original wire by event and byte: the first record, settings, streams that
// clients open and the answers to them, what clients get wrong.
import { describe, expect, it } from 'vitest'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { DEFAULT_SCHEME, parseScheme } from '../../../src/shaping/scheme.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { ascii } from '../../support/v1-frames.ts'
import { fromHex, toHex } from '../../codec/vectors.ts'
import { frame, write } from './frames.ts'
import {
  authenticatedServer,
  bytesOf,
  fromRuns,
  makeServer,
  openServer,
  PLAIN,
  pieces,
  said,
  send,
  settingsText,
  told,
  unreadOf,
} from './support.ts'
import { authVectors } from './vectors.ts'

describe('the first record', () => {
  it('D14, D15: one that does not match is handed over as it came, and nothing is written', () => {
    for (const { name, hex, matches } of authVectors.firstRecords) {
      const record = fromRuns(hex)
      const server = makeServer()
      const events = server.receive(record, 0)
      expect(server.current === 'handed-over', name).toBe(!matches)
      if (matches) continue
      expect(told(events), name).toEqual(['handover auth-failed'])
      expect(toHex(unreadOf(events)!), name).toBe(toHex(record))
      expect(server.takeWrites(), name).toEqual([])
    }
  })

  it('padding may arrive later than the hash, in any pieces', () => {
    const bytes = concatBytes([write.auth(3_000), write.settings(settingsText()), write.syn(1)])
    for (const size of [34, 100, 1_400]) {
      const server = makeServer()
      const events = pieces(bytes, size).flatMap((piece) => server.receive(piece, 0))
      expect(told(events)).toEqual(['established peer/1', 'open 1'])
    }
  })

  it('D16: a block that is not complete within 10 s is handed over with all that came', () => {
    const bytes = write.auth(65_535)
    const server = makeServer({}, 1_000)
    expect(server.deadline).toBe(11_000)
    for (const piece of pieces(bytes.subarray(0, 60_000), 16_384)) {
      expect(server.receive(piece, 2_000)).toEqual([])
    }
    expect(server.timeout(10_999)).toEqual([])
    const events = server.timeout(11_000)
    expect(told(events)).toEqual(['handover auth-timeout'])
    expect(toHex(unreadOf(events)!)).toBe(toHex(bytes.subarray(0, 60_000)))
    expect(server.takeWrites()).toEqual([])
  })

  it('D16: before it no other wait runs', () => {
    expect(makeServer({ timeouts: { auth: 90_000 } }).deadline).toBe(90_000)
  })

  it('D16: nothing at all within 10 s is handed over, too', () => {
    const server = makeServer()
    expect(told(server.timeout(10_000))).toEqual(['handover auth-timeout'])
    expect(server.deadline).toBe(Infinity)
  })

  it('authentication ends the auth timer', () => {
    const server = authenticatedServer()
    expect(server.deadline).toBe(60_000)
    expect(server.timeout(10_000)).toEqual([])
  })
})

describe('settings', () => {
  it('legacy-wire: a client of version 2 with our scheme gets the server settings alone', () => {
    const server = authenticatedServer()
    const events = server.receive(write.settings(settingsText()), 0)
    expect(told(events)).toEqual(['established peer/1'])
    expect(said(server)).toEqual(['SERVER v=2'])
  })

  it('D23: a client with another digest gets the raw text of the scheme, no LF added', () => {
    for (const digest of ['', 'ff', DEFAULT_SCHEME.digest.replace('7', '8')]) {
      const server = authenticatedServer({ scheme: DEFAULT_SCHEME })
      server.receive(write.settings(settingsText(2, digest)), 0)
      expect(said(server)).toEqual([`SCHEME ${DEFAULT_SCHEME.text}`, 'SERVER v=2'])
    }
  })

  it('D24: a digest in upper case is the same digest', () => {
    const server = authenticatedServer()
    server.receive(write.settings(settingsText(2, PLAIN.digest.toUpperCase())), 0)
    expect(said(server)).toEqual(['SERVER v=2'])
  })

  it('legacy-wire: a client of version 1 gets neither server settings nor SYNACK nor heartbeats', () => {
    const server = authenticatedServer()
    server.receive(concatBytes([write.settings(settingsText(1)), write.syn(1)]), 0)
    server.acceptStream(1, 0)
    expect(server.takeWrites()).toEqual([])
    expect([server.pingable, server.ping(0)]).toEqual([false, false])
    expect(server.deadline).toBe(3_600_000)
  })

  it('a client of version 1 with another digest gets the scheme', () => {
    const server = authenticatedServer()
    server.receive(write.settings(settingsText(1, 'ff')), 0)
    expect(said(server)).toEqual(['SCHEME stop=0'])
  })

  it('legacy-wire: SYN before the settings: alert and close', () => {
    const server = authenticatedServer()
    expect(told(server.receive(write.syn(1), 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
    expect(said(server)).toEqual(['ALERT syn while await-settings'])
  })

  it('legacy-wire: empty settings do not count', () => {
    const server = authenticatedServer()
    const events = server.receive(concatBytes([write.settings(''), write.syn(1)]), 0)
    expect(told(events)).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
  })

  it('D17: the violation is handed over, from the SYN on, when the server is told to', () => {
    const server = authenticatedServer({ onViolation: 'handover' })
    const rest = concatBytes([write.syn(1, 'odd'), write.push(1, 'more')])
    const events = server.receive(concatBytes([write.waste(9), rest]), 0)
    expect(told(events)).toEqual(['handover violation'])
    expect(toHex(unreadOf(events)!)).toBe(toHex(rest))
    expect(server.takeWrites()).toEqual([])
  })

  it('everything else is passed over until the settings come', () => {
    const server = authenticatedServer()
    const bytes = concatBytes([
      write.waste(5),
      write.push(1, 'x'),
      write.fin(1),
      write.pong(),
      write.synack(1),
      write.scheme('stop=1'),
      write.serverSettings(),
      frame(200, 0, 'future'),
    ])
    expect(server.receive(bytes, 0)).toEqual([])
    expect(server.takeWrites()).toEqual([])
    expect(server.current).toBe('await-settings')
  })

  it('settings that come again change nothing', () => {
    const server = openServer()
    expect(server.receive(write.settings(settingsText(1, 'ff')), 0)).toEqual([])
    expect(server.takeWrites()).toEqual([])
    expect(server.pingable).toBe(true)
  })

  it('bad input: a client whose name is full of control characters is told of in printable ASCII', () => {
    const server = authenticatedServer()
    const [event] = server.receive(write.settings('v=2\nclient=\x1b[2Jx\x07\xff'), 0)
    expect(event?.type === 'established' && event.peer).toMatch(/^[\x20-\x7e]+$/)
  })
})

describe('streams', () => {
  it('SYNACK follows acceptance, once and empty', () => {
    const server = openServer()
    expect(told(server.receive(write.syn(1), 0))).toEqual(['open 1'])
    server.acceptStream(1, 5)
    server.acceptStream(1, 6)
    expect(said(server)).toEqual(['SYNACK 1'])
  })

  it('a refusal is a SYNACK with the reason, and the stream is over', () => {
    const server = openServer()
    server.receive(concatBytes([write.syn(1), write.syn(2)]), 0)
    server.resetStream(1, CloseCode.DestinationUnreachable, 'no route\x1b', 0)
    server.resetStream(2, CloseCode.Graceful, '', 0)
    expect(said(server)).toEqual(['SYNACK 1 no route?', 'SYNACK 2 refused'])
    expect(server.receive(concatBytes([write.push(1, 'x'), write.fin(1)]), 0)).toEqual([])
    expect(server.takeWrites()).toEqual([])
  })

  it('a refusal under version 1 is FIN', () => {
    const server = openServer({}, 1)
    server.receive(write.syn(1), 0)
    server.resetStream(1, CloseCode.Rejected, 'no', 0)
    expect(said(server)).toEqual(['FIN 1'])
  })

  it('the end of an accepted stream is FIN, whatever the reason', () => {
    const server = openServer()
    server.receive(write.syn(1), 0)
    server.acceptStream(1, 0)
    server.takeWrites()
    server.resetStream(1, CloseCode.RemoteDisconnect, 'broken off', 0)
    expect(said(server)).toEqual(['FIN 1'])
  })

  it('peers.md: a stream that nobody has accepted within 2,000 ms is answered by the machine itself', () => {
    const server = openServer()
    server.receive(write.syn(1), 100)
    server.receive(write.syn(2), 600)
    expect(server.deadline).toBe(2_100)
    server.timeout(2_099)
    expect(server.takeWrites()).toEqual([])
    server.timeout(2_100)
    expect(said(server)).toEqual(['SYNACK 1'])
    expect(server.deadline).toBe(2_600)
    // What the application says later can only be FIN.
    server.acceptStream(1, 2_200)
    server.resetStream(1, CloseCode.DestinationUnreachable, 'no route', 2_300)
    expect(said(server)).toEqual(['FIN 1'])
  })

  it('several that are due together are answered together, the rest in its time', () => {
    const server = openServer({ timeouts: { synack: 50 } })
    for (const [stream, at] of [
      [1, 0],
      [2, 10],
      [3, 20],
    ] as const) {
      server.receive(write.syn(stream), at)
    }
    server.timeout(65)
    expect(said(server)).toEqual(['SYNACK 1', 'SYNACK 2'])
    expect(server.deadline).toBe(70)
  })

  it('a stream that is accepted, refused or ended leaves no SYNACK timer behind', () => {
    const server = openServer()
    for (const stream of [1, 2, 3, 4]) server.receive(write.syn(stream), 0)
    server.acceptStream(1, 0)
    server.resetStream(2, CloseCode.Rejected, 'no', 0)
    server.receive(write.fin(3), 0)
    server.finishStream(4, 0)
    expect(said(server)).toEqual(['SYNACK 1', 'SYNACK 2 no', 'SYNACK 4', 'FIN 4'])
    server.timeout(2_000)
    expect(server.takeWrites()).toEqual([])
  })

  it('more streams than maxStreams: that stream alone is refused, never with an alert', () => {
    for (const [version, refusal] of [
      [2, 'SYNACK 3 too many streams'],
      [1, 'FIN 3'],
    ] as const) {
      const server = openServer({ maxStreams: 2 }, version)
      const opens = concatBytes([write.syn(1), write.syn(2), write.syn(3), write.push(3, 'x')])
      expect(told(server.receive(opens, 0))).toEqual(['open 1', 'open 2'])
      expect(said(server)).toEqual([refusal])
      for (const stream of [1, 2]) server.acceptStream(stream, 0)
      // A refusal waits for no SYNACK.
      expect(server.deadline).toBeGreaterThan(2_000)
      expect(told(server.receive(write.push(1, 'on'), 0))).toEqual(['data 1 on'])
    }
  })

  it('a SYN of a stream that is open is passed over, one of an id used before or out of order is fine', () => {
    const server = openServer()
    const bytes = concatBytes([
      write.syn(9),
      write.syn(9),
      write.fin(9),
      write.syn(9),
      write.syn(2),
    ])
    expect(told(server.receive(bytes, 0))).toEqual(['open 9', 'close 9', 'open 9', 'open 2'])
  })

  it('the ids 0 and 2^32 - 1 are ids like others', () => {
    const server = openServer()
    const bytes = concatBytes([write.syn(0), write.syn(0xffff_ffff), write.push(0xffff_ffff, 'x')])
    expect(told(server.receive(bytes, 0))).toEqual([
      'open 0',
      'open 4294967295',
      'data 4294967295 x',
    ])
  })

  it('FIN ends both directions and is never answered; data before it is delivered first', () => {
    const server = openServer()
    const bytes = concatBytes([write.syn(1), write.push(1, 'all'), write.fin(1)])
    expect(told(server.receive(bytes, 0))).toEqual(['open 1', 'data 1 all', 'close 1'])
    expect(server.takeWrites()).toEqual([])
  })

  it('the end of a server is FIN, behind its data, and the stream is over', () => {
    const server = openServer()
    server.receive(write.syn(1), 0)
    server.acceptStream(1, 0)
    send(server, 1, 'answer', 0)
    expect(told(server.finishStream(1, 0))).toEqual(['close 1'])
    expect(said(server)).toEqual(['SYNACK 1', 'PSH 1 answer', 'FIN 1'])
  })

  it('frames for a stream that is not there are dropped', () => {
    const server = openServer()
    expect(server.receive(concatBytes([write.push(5, 'x'), write.fin(5)]), 0)).toEqual([])
    expect(server.takeWrites()).toEqual([])
  })

  it('a server opens no streams', () => {
    const server = openServer()
    expect(server.mayOpen).toBe(false)
    expect(() => server.openStream(0)).toThrow(
      expect.objectContaining({ code: 'ERR_STREAM_LIMIT' }) as Error,
    )
  })
})

describe('control frames', () => {
  it('legacy-wire: the response to a heartbeat carries the id of the request', () => {
    const server = openServer()
    server.receive(concatBytes([write.ping(0), write.ping(77, 'with data'), write.ping(1)]), 0)
    expect(said(server)).toEqual(['PONG 0', 'PONG 77', 'PONG 1'])
  })

  it('frames of servers and unknown commands are passed over, with their data', () => {
    const server = openServer()
    server.receive(write.syn(1), 0)
    const bytes = concatBytes([
      write.scheme('stop=1'),
      write.synack(1, 'no'),
      write.serverSettings(),
      frame(42, 1, 'future'),
      write.waste(8),
      write.push(1, 'on'),
    ])
    expect(told(server.receive(bytes, 0))).toEqual(['data 1 on'])
  })

  it('an alert from a client ends the connection, an empty one does not', () => {
    const server = openServer()
    expect(server.receive(write.alert(''), 0)).toEqual([])
    expect(told(server.receive(write.alert('bye'), 0))).toEqual(['closed ERR_ALERT_RECEIVED'])
    expect(server.takeWrites()).toEqual([])
  })
})

describe('the end', () => {
  it('an idle connection ends at once, and no frame says so', () => {
    const server = openServer()
    expect(told(server.close(0))).toEqual(['draining', 'closed'])
    expect(server.takeWrites()).toEqual([])
  })

  it('streams that stand run to their end, new ones are refused', () => {
    for (const [version, refusal] of [
      [2, 'SYNACK 2 the server is stopping'],
      [1, 'FIN 2'],
    ] as const) {
      const server = openServer({}, version)
      server.receive(write.syn(1), 0)
      server.acceptStream(1, 0)
      server.takeWrites()
      expect(told(server.close(0))).toEqual(['draining'])
      expect(server.receive(write.syn(2), 0)).toEqual([])
      expect(said(server)).toEqual([refusal])
      const rest = concatBytes([write.push(1, 'last'), write.fin(1)])
      expect(told(server.receive(rest, 0))).toEqual(['data 1 last', 'close 1', 'closed'])
    }
  })

  it('an abort says nothing but a reason in words, as an alert', () => {
    const [server, other] = [openServer(), openServer()]
    expect(told(server.abort(CloseCode.ResourceExhausted, 0))).toEqual(['closed'])
    expect(server.takeWrites()).toEqual([])
    expect(told(other.abort(CloseCode.Rejected, 0, 'no traffic is left'))).toEqual(['closed'])
    expect(said(other)).toEqual(['ALERT no traffic is left'])
  })

  it('before authentication closing says nothing, after it nothing either', () => {
    for (const server of [makeServer(), authenticatedServer()]) {
      expect(told(server.close(0))).toEqual(['closed'])
      expect(server.takeWrites()).toEqual([])
    }
  })

  it('bad input: random garbage behind the settings never ends the connection by itself', () => {
    const server = openServer()
    server.receive(fromHex('17030300ff00'.repeat(500)), 0)
    server.receive(ascii('GET / HTTP/1.1\r\n'.repeat(100)), 0)
    expect(server.current).toBe('open')
    expect(bytesOf(server.takeWrites()).length).toBe(0)
  })

  it('D34: the scheme of the downlink shapes nothing when there is none', () => {
    const server = openServer({ scheme: parseScheme('stop=9\n1=500-500') })
    server.receive(write.syn(1), 0)
    server.acceptStream(1, 0)
    expect(server.takeWrites().map(({ bytes, shaped }) => [bytes, shaped])).toEqual([[7, false]])
  })
})
