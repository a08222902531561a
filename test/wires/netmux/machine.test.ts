// The net-mux machine, frame by frame: what it says and what it tells.
import { describe, expect, it } from 'vitest'
import { PeerCloseError } from '../../../src/errors.ts'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { RESET_BURST } from '../../../src/engine/reset-budget.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { pieces, told } from '../anytls/support.ts'
import { ACK, FIN, frame, RST, SYN, write } from './frames.ts'
import { makeMachine, said } from './support.ts'
import type { NetMux } from './support.ts'

const WINDOW = 262_144

/** Feeds frames to a machine and tells what it made of them. */
function feed(machine: NetMux, ...frames: readonly Uint8Array[]): string[] {
  return told(machine.receive(concatBytes(frames), 0)).filter((line) => line !== 'established ')
}

/** A server with the stream 1 of its client, accepted; nothing is left to take. */
function serving(settings = {}): NetMux {
  const server = makeMachine('server', settings)
  server.receive(write.syn(1), 0)
  server.acceptStream(1, 0)
  server.takeWrites()
  return server
}

/** A client with the stream 1 of its own, accepted by the server. */
function opened(settings = {}): NetMux {
  const client = makeMachine('client', settings)
  client.openStream(0)
  client.receive(write.ack(1), 0)
  client.takeWrites()
  return client
}

function send(machine: NetMux, stream: number, text: string): void {
  machine.sendData(stream, [new TextEncoder().encode(text)], text.length, 0)
}

describe('net-mux: opening', () => {
  it('net-mux: a client opens odd streams, a server even ones, each with SYN', () => {
    const client = makeMachine('client')
    expect([client.openStream(0), client.openStream(0)]).toEqual([1, 3])
    expect(said(client)).toEqual(['DATA 1 SYN', 'DATA 3 SYN'])
    const server = makeMachine('server')
    expect([server.openStream(0), server.openStream(0)]).toEqual([2, 4])
    expect(said(server)).toEqual(['DATA 2 SYN', 'DATA 4 SYN'])
  })

  it('net-mux: a stream is usable before the ACK', () => {
    const client = makeMachine('client')
    client.openStream(0)
    send(client, 1, 'early')
    client.finishStream(1, 0)
    expect(said(client)).toEqual(['DATA 1 SYN', 'DATA 1 early', 'DATA 1 FIN'])
  })

  it('net-mux: the ACK tells that a stream is accepted, once', () => {
    const client = makeMachine('client')
    client.openStream(0)
    expect(feed(client, write.ack(1), write.ack(1))).toEqual(['accept 1'])
  })

  it('net-mux: the first frame on a stream of the peer is the ACK, whatever is said first', () => {
    const says: Record<string, (machine: NetMux) => unknown> = {
      accept: (machine) => machine.acceptStream(1, 0),
      data: (machine) => send(machine, 1, 'hi'),
      end: (machine) => machine.finishStream(1, 0),
      credit(machine) {
        machine.consumed(1, WINDOW / 2, 0)
        expect(said(machine)).toEqual([])
        machine.acceptStream(1, 0)
      },
    }
    const first: Record<string, string[]> = {}
    for (const [name, say] of Object.entries(says)) {
      const server = makeMachine('server')
      server.receive(write.syn(1, new Uint8Array(65_536)), 0)
      server.receive(write.data(1, new Uint8Array(65_536)), 0)
      say(server)
      first[name] = said(server)
    }
    expect(first).toEqual({
      accept: ['DATA 1 ACK'],
      data: ['DATA 1 ACK', 'DATA 1 hi'],
      end: ['DATA 1 ACK', 'DATA 1 FIN'],
      credit: ['DATA 1 ACK', `WINDOW 1 ${WINDOW / 2}`],
    })
  })

  it('net-mux: a refusal is RST alone', () => {
    const server = makeMachine('server')
    server.receive(write.syn(1), 0)
    server.resetStream(1, CloseCode.Rejected, 'no', 0)
    expect(said(server)).toEqual(['DATA 1 RST'])
  })

  it('net-mux: SYN, data and FIN may come in one frame', () => {
    expect(feed(makeMachine('server'), write.data(1, 'all', SYN | FIN))).toEqual([
      'open 1',
      'data 1 all',
      'end 1',
    ])
  })

  it('net-mux: the openings of a peer may overtake each other', () => {
    const server = makeMachine('server')
    expect(feed(server, write.syn(5), write.syn(1), write.data(1, 'x'))).toEqual([
      'open 5',
      'open 1',
      'data 1 x',
    ])
    // What comes late for the first is not for a stream that was never opened.
    expect(feed(server, write.rst(5), write.data(5, 'late'))).toEqual(['close 5 ERR_STREAM_RESET'])
  })

  it('decisions, net-mux: a SYN above maxStreams is answered with RST, and its data is dropped', () => {
    const server = makeMachine('server', { maxStreams: 2 })
    server.openStream(0)
    expect(feed(server, write.syn(1), write.syn(3, 'lost'), write.data(3, 'lost'))).toEqual([
      'open 1',
    ])
    expect(said(server)).toEqual(['DATA 2 SYN', 'DATA 3 RST'])
    expect(server.mayOpen).toBe(false)
    expect(() => server.openStream(0)).toThrow('as many streams as it may have')
    feed(server, write.rst(1))
    expect(server.mayOpen).toBe(true)
  })

  it('net-mux: the last stream id is 2^32 - 1', () => {
    const client = makeMachine('client', { maxStreams: 1 })
    client.useUpIds(0xffff_ffff)
    expect(client.openStream(0)).toBe(0xffff_ffff)
    feed(client, write.rst(0xffff_ffff))
    expect(client.streamCount).toBe(0)
    expect(client.mayOpen).toBe(false)
    expect(() => client.openStream(0)).toThrow('as many streams as it may have')
  })

  it('net-mux: nothing is negotiated, and the first frame of the peer establishes', () => {
    const client = makeMachine('client')
    expect(client.pingable).toBe(true)
    const events = client.receive(write.ping(1), 0)
    expect(told(events)).toEqual(['established '])
    expect(client.receive(write.ping(2), 0)).toEqual([])
  })
})

describe('net-mux: credit', () => {
  it('net-mux: a stream begins with 262,144 bytes of credit in either direction', () => {
    const server = serving()
    expect(server.credit(1)).toBe(WINDOW)
    send(server, 1, 'x'.repeat(1_000))
    expect(server.credit(1)).toBe(WINDOW - 1_000)
  })

  it('net-mux: credit comes back once half of the window has been consumed', () => {
    const server = serving()
    for (let sent = 0; sent < 3; sent += 1) feed(server, write.data(1, new Uint8Array(65_536)))
    server.consumed(1, WINDOW / 2 - 1, 0)
    expect(said(server)).toEqual([])
    server.consumed(1, 1, 0)
    expect(said(server)).toEqual([`WINDOW 1 ${WINDOW / 2}`])
    server.consumed(1, 65_536, 0)
    expect(said(server)).toEqual([])
  })

  it('net-mux: a window is what it was set to, however large and however slow its reader', () => {
    const server = serving({ initialStreamWindow: 0xffff_ffff })
    for (let sent = 0; sent < 16; sent += 1) feed(server, write.data(1, new Uint8Array(65_536)))
    server.consumed(1, 1_048_576, 0)
    expect(said(server)).toEqual([])
  })

  it('net-mux: WindowUpdate adds to the credit and wakes a stream that had none', () => {
    const client = opened({ initialStreamWindow: 10 })
    send(client, 1, '0123456789')
    expect(client.credit(1)).toBe(0)
    expect(feed(client, write.window(1, 5), write.window(1, 5))).toEqual(['credit 1'])
    expect(client.credit(1)).toBe(10)
  })

  it('net-mux: credit saturates at 2^32 - 1', () => {
    const client = opened()
    expect(feed(client, write.window(1, 0xffff_ffff), write.window(1, 0xffff_ffff))).toEqual([])
    expect(client.credit(1)).toBe(0xffff_ffff)
    send(client, 1, 'x')
    feed(client, write.window(1, 0xffff_ffff))
    expect(client.credit(1)).toBe(0xffff_ffff)
  })

  it('net-mux: a WindowUpdate of nothing does nothing', () => {
    const client = opened({ initialStreamWindow: 1 })
    send(client, 1, 'x')
    expect(feed(client, write.window(1, 0))).toEqual([])
    expect(client.credit(1)).toBe(0)
  })

  it('net-mux: the peer needs no credit for a direction that has ended', () => {
    const server = serving()
    feed(server, write.data(1, new Uint8Array(65_536)), write.data(1, new Uint8Array(65_536), FIN))
    server.consumed(1, WINDOW / 2, 0)
    expect(said(server)).toEqual([])
  })

  it('decisions, net-mux: an overrun window ends the session with GoAway 3; the window itself arrives', () => {
    for (const size of [1, 6, 20]) {
      const server = serving({ initialStreamWindow: 10 })
      const bytes = concatBytes([write.data(1, '0123456'), write.data(1, '789ab')])
      const lines = pieces(bytes, size).flatMap((piece) => told(server.receive(piece, 0)))
      expect(lines.at(-1)).toBe('closed ERR_PROTOCOL_VIOLATION')
      const data = lines.flatMap((line) => (line.startsWith('data') ? line.slice(7) : []))
      expect(data.join('')).toBe('0123456789')
      expect(said(server)).toEqual(['GOAWAY 3'])
    }
  })
})

describe('net-mux: the end of a stream', () => {
  it('net-mux: half-close: FIN ends one direction, the other goes on', () => {
    const server = serving()
    expect(feed(server, write.fin(1))).toEqual(['end 1'])
    send(server, 1, 'still here')
    expect(told(server.finishStream(1, 0))).toEqual(['close 1'])
    expect(said(server)).toEqual(['DATA 1 still here', 'DATA 1 FIN'])
    expect(server.streamCount).toBe(0)
  })

  it('net-mux: FIN may ride on data', () => {
    expect(feed(serving(), write.data(1, 'last', FIN))).toEqual(['data 1 last', 'end 1'])
  })

  it('net-mux: RST ends both directions, with an error', () => {
    const client = opened()
    const [event] = client.receive(write.rst(1), 0).filter(({ type }) => type === 'close')
    expect(event).toMatchObject({
      stream: 1,
      error: { code: 'ERR_STREAM_RESET', closeCode: 1, reason: '' },
    })
    expect(client.streamCount).toBe(0)
    expect(said(client)).toEqual([])
  })

  it('net-mux: FIN and RST together are a reset', () => {
    expect(feed(serving(), write.data(1, '', FIN | RST))).toEqual(['close 1 ERR_STREAM_RESET'])
  })

  it('net-mux: RST instead of ACK is a refusal', () => {
    const client = makeMachine('client')
    client.openStream(0)
    expect(feed(client, write.rst(1))).toEqual(['close 1 ERR_STREAM_RESET'])
  })

  it('net-mux: a reset of ours says RST and drops what comes after it', () => {
    const server = serving()
    expect(server.resetStream(1, CloseCode.Graceful, '', 0)).toEqual([])
    expect(said(server)).toEqual(['DATA 1 RST'])
    const late = [write.data(1, 'late'), write.window(1, 7), write.fin(1), write.rst(1)]
    expect(feed(server, ...late)).toEqual([])
    expect(said(server)).toEqual([])
    expect(server.current).toBe('open')
  })

  it('net-mux: a stream that is let go after the end of the peer ends with FIN, in order', () => {
    const server = serving()
    feed(server, write.fin(1))
    expect(server.resetStream(1, CloseCode.Graceful, '', 0)).toEqual([])
    expect(said(server)).toEqual(['DATA 1 FIN'])
    expect(server.streamCount).toBe(0)
  })

  it('net-mux: with an error, or before it was accepted, it is RST after the end of the peer too', () => {
    const server = makeMachine('server')
    feed(server, write.data(1, '', SYN | FIN), write.data(3, '', SYN | FIN))
    server.acceptStream(1, 0)
    server.resetStream(1, CloseCode.RemoteDisconnect, '', 0)
    server.resetStream(3, CloseCode.Graceful, '', 0)
    expect(said(server)).toEqual(['DATA 1 ACK', 'DATA 1 RST', 'DATA 3 RST'])
  })

  it('decisions, net-mux: data for a stream that is gone is dropped, of either end, however it is cut', () => {
    for (const size of [1, 13, 1_000]) {
      const client = opened()
      feed(client, write.syn(2), write.rst(2), write.rst(1))
      const late = concatBytes([write.data(1, 'late', ACK), write.data(2, 'late', FIN)])
      expect(pieces(late, size).flatMap((piece) => told(client.receive(piece, 0)))).toEqual([])
      expect(said(client)).toEqual([])
      expect(client.current).toBe('open')
    }
  })
})

describe('net-mux: what breaks the protocol', () => {
  const cases: readonly (readonly [string, readonly Uint8Array[], string, string])[] = [
    ['SYN with the parity of this end', [write.syn(2)], 'wrong end', 'GOAWAY 1'],
    ['SYN for a stream that is open', [write.syn(1), write.syn(1)], 'opened twice', 'GOAWAY 1'],
    ['data for a stream of the peer that was never opened', [write.data(3)], 'never', 'GOAWAY 1'],
    ['data for a stream of ours that was never opened', [write.data(2)], 'never', 'GOAWAY 1'],
    ['credit for a stream that was never opened', [write.window(7, 1)], 'never', 'GOAWAY 1'],
    ['data behind FIN', [write.syn(1), write.fin(1), write.data(1, 'x')], 'end', 'GOAWAY 1'],
    ['FIN twice', [write.syn(1), write.fin(1), write.fin(1)], 'twice', 'GOAWAY 1'],
    ['an unknown flag', [frame(0, 0x10, 1, 0)], 'unknown flags', 'GOAWAY 1'],
    ['an unknown type', [frame(4, 0, 0, 0)], 'unknown frame type', 'GOAWAY 1'],
    ['data on stream 0', [write.syn(0)], 'on stream 0', 'GOAWAY 1'],
    ['a Ping on a stream', [frame(2, 0, 1, 0)], 'on stream 1', 'GOAWAY 1'],
    ['a payload above maxFrameSize', [frame(0, 1, 1, 65_537)], 'above 65536', 'GOAWAY 1'],
    ['another version', [frame(0, 0, 1, 0, '', 2)], 'version 2', 'GOAWAY 5'],
  ]

  it('decisions, net-mux: each ends the session with its GoAway, and says why', () => {
    for (const [name, frames, message, goaway] of cases) {
      const server = makeMachine('server')
      const events = server.receive(concatBytes(frames), 0)
      const last = events.at(-1)
      expect(last?.type, name).toBe('closed')
      expect(last?.type === 'closed' ? last.error?.message : '', name).toContain(message)
      expect(said(server).at(-1), name).toBe(goaway)
      expect([server.current, server.deadline], name).toEqual(['closed', Infinity])
      expect(server.receive(write.ping(1), 0), name).toEqual([])
      expect(server.takeWrites(), name).toEqual([])
    }
  })

  it('D47: too many resets end the session with GoAway 4', () => {
    const server = makeMachine('server')
    let id = -1
    const wasted = (): string[] => feed(server, write.syn((id += 2)), write.rst(id))
    for (let count = 0; count < RESET_BURST; count += 1) wasted()
    expect(wasted().at(-1)).toBe('closed ERR_TOO_MANY_RESETS')
    expect(said(server)).toEqual(['GOAWAY 4'])
  })

  it('net-mux: flags that mean nothing on a frame are let be, as the crate does', () => {
    const server = serving({ initialStreamWindow: 5 })
    send(server, 1, 'x'.repeat(5))
    expect(feed(server, frame(1, 15, 1, 9), frame(2, 13, 0, 4))).toEqual(['credit 1'])
    expect(said(server)).toEqual(['DATA 1 xxxxx', 'PING ACK 4'])
  })
})

describe('net-mux: Ping and GoAway', () => {
  it('net-mux: a Ping is answered with ACK and its value', () => {
    const server = makeMachine('server')
    expect(feed(server, write.ping(0xdead_beef))).toEqual([])
    expect(said(server)).toEqual([`PING ACK 3735928559`])
  })

  it('net-mux: each Ping has a value of its own, and only its answer counts', () => {
    const client = makeMachine('client')
    expect(client.ping(10)).toBe(true)
    expect(client.ping(11)).toBe(false)
    expect(said(client)).toEqual(['PING 1'])
    client.receive(write.pong(2), 20)
    expect(told(client.receive(write.pong(1), 35))).toEqual(['pong 25'])
    expect(told(client.receive(write.pong(1), 36))).toEqual([])
    client.ping(40)
    expect(said(client)).toEqual(['PING 2'])
  })

  it('net-mux: a graceful close says GoAway 0 when the last stream has ended, and is over then', () => {
    const client = opened()
    expect(told(client.close(0))).toEqual(['draining'])
    expect(said(client)).toEqual([])
    expect(() => client.openStream(0)).toThrow('no new streams')
    expect(feed(client, write.syn(2), write.data(1, 'goes on'))).toEqual(['data 1 goes on'])
    expect(said(client)).toEqual(['DATA 2 RST'])
    send(client, 1, 'so does this')
    client.finishStream(1, 0)
    expect(feed(client, write.fin(1))).toEqual(['end 1', 'close 1', 'closed'])
    expect(said(client)).toEqual(['DATA 1 so does this', 'DATA 1 FIN', 'GOAWAY 0'])
  })

  it('net-mux: a close without streams is over at once', () => {
    const client = makeMachine('client')
    expect(told(client.close(0))).toEqual(['draining', 'closed'])
    expect(said(client)).toEqual(['GOAWAY 0'])
    expect(client.close(0)).toEqual([])
  })

  it('net-mux: after a GoAway of the peer no new streams; those that stand go on', () => {
    const server = serving()
    expect(feed(server, write.goaway(0), write.goaway(0))).toEqual(['draining'])
    expect(server.mayOpen).toBe(false)
    expect(() => server.openStream(0)).toThrow('no new streams')
    expect(feed(server, write.syn(3), write.data(1, 'on'), write.fin(1))).toEqual([
      'data 1 on',
      'end 1',
    ])
    expect(told(server.finishStream(1, 0))).toEqual(['close 1', 'closed'])
    expect(said(server)).toEqual(['DATA 3 RST', 'DATA 1 FIN', 'GOAWAY 0'])
  })

  it('net-mux: a peer that goes with its streams: they fail, the session has ended in order', () => {
    const client = opened()
    client.openStream(0)
    feed(client, write.goaway(0))
    expect(told(client.endOfInput(0))).toEqual([
      'close 1 ERR_SESSION_CLOSED',
      'close 3 ERR_SESSION_DRAINING',
      'closed',
    ])
  })

  it('net-mux: a GoAway with an error ends the session with that code', () => {
    for (const [code, reason] of [
      [1, 'protocol error'],
      [2, 'internal error'],
      [3, 'flow control error'],
      [4, 'stream limit'],
      [5, 'unsupported version'],
      [6, 'timeout'],
      [7, ''],
      [0xffff_ffff, ''],
    ] as const) {
      const last = opened().receive(write.goaway(code), 0).at(-1)
      const error = last?.type === 'closed' ? last.error : undefined
      expect(error).toBeInstanceOf(PeerCloseError)
      expect(error).toMatchObject({ code: 'ERR_CLOSE_RECEIVED', closeCode: code, reason })
    }
  })

  it('net-mux: an abort tells the peer as much as GoAway can say', () => {
    const codes = Object.values(CloseCode).map((code) => {
      const client = opened()
      expect(told(client.abort(code, 0))).toEqual(['closed'])
      return said(client)[0]
    })
    expect(codes).toEqual([0, 0, 6, 1, 4, 0, 0, 5].map((code) => `GOAWAY ${code}`))
  })
})
