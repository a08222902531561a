// The mux1 extension: windows, credit, half-close, resets with a reason, GOAWAY (mux1-extension).
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { CONNECTION_UNREAD, OPEN_WINDOW } from '../../../src/engine/receive-window.ts'
import { write } from '../../support/v1-frames.ts'
import {
  authenticatedServer,
  clientNego,
  makeClient,
  openClient,
  openServer,
  said,
  serverNego,
  told,
} from './support.ts'
import type { Client, Server } from './support.ts'

const WINDOW = 65_536
const MIB = 1_048_576
const MUX1 = { mux1Window: WINDOW }

/** Both machines with mux1 and one accepted stream, each with its own window and its peer's of 100,000. */
const BOTH: Record<string, () => Client | Server> = {
  client() {
    const client = openClient(MUX1, 100_000)
    client.openStream(0)
    client.receive(write.ack(1), 0)
    client.takeWrites()
    return client
  },
  server() {
    const server = openServer(MUX1, 100_000)
    server.receive(write.open(1), 0)
    server.acceptStream(1, 0)
    server.takeWrites()
    return server
  },
}

function forBoth(check: (machine: Client | Server, role: string) => void): void {
  for (const [role, make] of Object.entries(BOTH)) check(make(), role)
}

describe('negotiation', () => {
  it('mux1: the client offers it, and a server that takes it answers with the same two keys', () => {
    const client = makeClient(MUX1)
    client.timeout(20)
    expect(said(client)[1]).toMatch(/\nextensions=mux1\nwindow=65536\n$/)
    const server = authenticatedServer({ mux1Window: 70_000 })
    server.receive(write.clientNego(clientNego(WINDOW)), 0)
    expect(said(server)).toEqual(['NEGO version=1\nserver=test/1\nextensions=mux1\nwindow=70000\n'])
    expect(server.flowControlled).toBe(true)
  })

  it('mux1: a peer that only knows the draft never sees a word of it', () => {
    const client = makeClient()
    client.timeout(20)
    expect(said(client)[1]).not.toMatch(/mux1|window/)
    for (const [own, theirs] of [
      [undefined, WINDOW],
      [WINDOW, 'draft'],
    ] as const) {
      const server = authenticatedServer({ mux1Window: own })
      server.receive(write.clientNego(clientNego(theirs)), 0)
      expect(said(server)).toEqual(['NEGO version=1\nserver=test/1\n'])
      expect(server.flowControlled).toBe(false)
      server.receive(write.open(1), 0)
      server.resetStream(1, 5, 'no route', 0)
      server.close(0)
      expect(said(server)).toEqual(['RST 1', 'CLOSE 0'])
    }
  })

  it('mux1: until the server NEGO a stream may send 65,536 bytes', () => {
    const client = makeClient({ mux1Window: 1_000_000 })
    client.openStream(0)
    expect(client.credit(1)).toBe(65_536)
    client.sendData(1, [new Uint8Array(65_535)], 65_535, 0)
    expect(client.credit(1)).toBe(1)
    client.sendData(1, [new Uint8Array(1)], 1, 0)
    expect(client.credit(1)).toBe(0)
    expect(client.flowControlled).toBe(false)
  })

  it('mux1: a client that takes 64 MiB itself may send as much until then, and no more', () => {
    const client = makeClient({ mux1Window: OPEN_WINDOW })
    client.openStream(0)
    client.openStream(0)
    expect(client.credit(1)).toBe(67_108_864)
    client.sendData(1, [new Uint8Array(70_000)], 70_000, 0)
    // The server takes less: the stream waits until there is credit for what was sent already.
    expect(told(client.receive(write.serverNego(serverNego(WINDOW)), 0))).toEqual([
      'established peer/1',
    ])
    expect([client.credit(1), client.credit(2)]).toEqual([0, WINDOW])
    expect(told(client.receive(write.credit(1, 4_464), 0))).toEqual([])
    expect(told(client.receive(write.credit(1, 10), 0))).toEqual(['credit 1'])
    expect(client.credit(1)).toBe(10)
  })

  it('mux1: a server takes 64 MiB on a stream of such a client, whatever its window', () => {
    const server = openServer(MUX1, 67_108_864)
    server.receive(write.open(1), 0)
    const mebibyte = write.data(1, new Uint8Array(MIB))
    for (let count = 0; count < 64; count += 1) {
      expect(server.receive(mebibyte, 0).map(({ type }) => type)).toEqual(['data'])
    }
    expect(told(server.receive(write.data(1, 'x'), 0))).toEqual(['close 1 ERR_PROTOCOL_VIOLATION'])
  })

  it('mux1: the server NEGO tells what may be sent from the first byte on', () => {
    const client = makeClient(MUX1)
    client.openStream(0)
    client.openStream(0)
    client.sendData(1, [new Uint8Array(65_535)], 65_535, 0)
    client.sendData(1, [new Uint8Array(1)], 1, 0)
    const events = client.receive(write.serverNego(serverNego(100_000)), 0)
    // Only the stream that had used up its credit is told of it.
    expect(told(events)).toEqual(['established peer/1', 'credit 1'])
    expect([client.credit(1), client.credit(2)]).toEqual([34_464, 100_000])
    expect(client.credit(client.openStream(0))).toBe(100_000)
  })

  it('mux1: without an answer to the offer no limit applies', () => {
    const client = makeClient(MUX1)
    client.openStream(0)
    client.sendData(1, [new Uint8Array(65_535)], 65_535, 0)
    client.sendData(1, [new Uint8Array(1)], 1, 0)
    const events = client.receive(write.serverNego(serverNego()), 0)
    expect(told(events)).toEqual(['established peer/1', 'credit 1'])
    expect(client.credit(1)).toBeGreaterThan(2 ** 52)
    expect(client.credit(client.openStream(0))).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('mux1: without it a server that offers it takes more than its window', () => {
    const server = openServer(MUX1, 'draft')
    server.receive(write.open(1), 0)
    const data = write.data(1, new Uint8Array(WINDOW + 1))
    expect(server.receive(data, 0).map(({ type }) => type)).toEqual(['data'])
  })

  it('mux1: an answer without an offer changes nothing', () => {
    const client = openClient({}, WINDOW)
    expect(client.flowControlled).toBe(false)
  })

  it('mux1: an end that came before the server NEGO is told in the way that it allows', () => {
    for (const [window, line] of [
      [WINDOW, ['FIN 1']],
      ['draft', []],
    ] as const) {
      const client = makeClient(MUX1)
      client.openStream(0)
      client.finishStream(1, 0)
      client.takeWrites()
      client.receive(write.serverNego(serverNego(window)), 0)
      expect(said(client)).toEqual(line)
    }
  })

  it('mux1, Rules: any of its frames without a negotiated mux1 is a violation', () => {
    const frames = [
      write.credit(1, 1),
      write.hold(1, 1),
      write.fin(1),
      write.reset(1, 3),
      write.goaway(9, 0),
    ]
    for (const frame of frames) {
      const client = openClient(MUX1, 'draft')
      client.openStream(0)
      expect(told(client.receive(frame, 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
      expect(said(client).at(-1)).toMatch(/^ALERT [\w-]+ without a negotiated mux1$/)
      const server = openServer(MUX1, 'draft')
      server.receive(write.open(1), 0)
      expect(told(server.receive(frame, 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
      expect(said(server)[0]).toMatch(/^ALERT /)
    }
  })
})

describe('credit', () => {
  it('mux1, Rules: it counts payload bytes from the first byte, those beside OPEN too', () => {
    const server = openServer(MUX1)
    const events = server.receive(
      concatBytes([
        write.stream(6, 1, new Uint8Array(65_536)),
        write.data(1, ''),
        write.stream(6, 2, 'x'),
      ]),
      0,
    )
    expect(events.map(({ type }) => type)).toEqual(['open', 'data', 'open', 'data'])
    expect(told(server.receive(write.data(1, 'y'), 0))).toEqual(['close 1 ERR_PROTOCOL_VIOLATION'])
  })

  it('mux1, Rules: what the application consumes is returned once half a window is due', () => {
    forBoth((machine, role) => {
      machine.receive(write.data(1, new Uint8Array(65_536)), 0)
      machine.consumed(1, 32_767, 0)
      expect(machine.takeWrites(), role).toEqual([])
      machine.consumed(1, 1, 0)
      expect(said(machine), role).toEqual(['CREDIT 1 32768'])
      machine.consumed(1, 32_768, 0)
      expect(said(machine), role).toEqual(['CREDIT 1 32768'])
      // All of it may be sent again, and not a byte more.
      expect(machine.receive(write.data(1, new Uint8Array(65_536)), 0).length, role).toBe(1)
      expect(told(machine.receive(write.data(1, 'x'), 0)), role).toEqual([
        'close 1 ERR_PROTOCOL_VIOLATION',
      ])
    })
  })

  it('mux1: credit from the peer adds up, saturates, and is told of after zero only', () => {
    forBoth((machine, role) => {
      expect(machine.credit(1), role).toBe(100_000)
      machine.sendData(1, [new Uint8Array(60_000)], 60_000, 0)
      expect(machine.receive(write.credit(1, 5), 0), role).toEqual([])
      expect(machine.credit(1), role).toBe(40_005)
      machine.sendData(1, [new Uint8Array(40_005)], 40_005, 0)
      expect(told(machine.receive(write.credit(1, 7), 0)), role).toEqual(['credit 1'])
      machine.receive(write.credit(1, Number.MAX_SAFE_INTEGER), 0)
      expect(machine.credit(1), role).toBe(Number.MAX_SAFE_INTEGER)
      machine.receive(write.credit(1, Number.MAX_SAFE_INTEGER), 0)
      expect(machine.credit(1), role).toBe(Number.MAX_SAFE_INTEGER)
    })
  })

  it('mux1, Rules: an increment of zero is a violation, even for a stream that is gone', () => {
    forBoth((machine, role) => {
      expect(told(machine.receive(write.credit(1, 0), 0)), role).toEqual([
        'closed ERR_PROTOCOL_VIOLATION',
      ])
    })
    forBoth((machine, role) => {
      machine.resetStream(1, 0, '', 0)
      expect(told(machine.receive(write.credit(1, 0), 0)), role).toEqual([
        'closed ERR_PROTOCOL_VIOLATION',
      ])
      expect(said(machine).at(-1), role).toBe('ALERT STREAM_CREDIT of zero')
    })
  })

  it('mux1, Rules: an overrun gets STREAM_RESET with code 3, its siblings go on', () => {
    const server = openServer(MUX1)
    server.receive(concatBytes([write.open(1), write.open(2)]), 0)
    const frames = [write.data(1, new Uint8Array(65_537)), write.data(2, 'on'), write.data(1, 'x')]
    const events = server.receive(concatBytes(frames), 0)
    expect(events.map(({ type }) => type)).toEqual(['data', 'close', 'data'])
    expect(told(events).slice(1)).toEqual(['close 1 ERR_PROTOCOL_VIOLATION', 'data 2 on'])
    expect(said(server)).toEqual(['RESET 1 3 stream data beyond the window'])
    expect(server.current).toBe('open')
    expect(server.streamCount).toBe(1)
  })

  it('an overrun delivers the same bytes however they were cut: the window and no more', () => {
    const bytes = write.data(1, new Uint8Array(70_000).fill(0x61))
    for (const size of [1_000, 65_536, 65_550, 100_000]) {
      forBoth((machine, role) => {
        let delivered = 0
        const kinds = new Set<string>()
        for (let offset = 0; offset < bytes.length; offset += size) {
          for (const event of machine.receive(bytes.subarray(offset, offset + size), 0)) {
            kinds.add(event.type)
            if (event.type === 'data') delivered += event.data.length
          }
        }
        expect(delivered, `${role}, pieces of ${size}`).toBe(WINDOW)
        expect([...kinds], role).toEqual(['data', 'close'])
      })
    }
  })

  it('mux1: an open window is told of once in half a GiB, and not narrowed while its stream is read', () => {
    const server = openServer({ mux1Window: OPEN_WINDOW })
    server.receive(write.open(1), 0)
    const frame = write.data(1, new Uint8Array(131_072))
    for (let count = 1; count < 4_096; count += 1) {
      server.receive(frame, count)
      server.consumed(1, 131_072, count)
      expect(server.takeWrites()).toEqual([])
    }
    server.receive(frame, 4_096)
    server.consumed(1, 131_072, 4_096)
    expect(said(server)).toEqual(['CREDIT 1 536870912'])
  })

  it('mux1: a reader that is behind is held until it has caught up, and the round trip is asked for once', () => {
    const server = openServer({ mux1Window: OPEN_WINDOW })
    server.receive(concatBytes([write.open(1), write.open(2)]), 0)
    server.receive(write.data(1, new Uint8Array(262_143)), 0)
    expect(said(server)).toEqual([])
    server.receive(write.data(1, 'x'), 0)
    expect(said(server)).toEqual(['HOLD 1 262144', 'PING'])
    // What was under way is taken, and its sibling does not feel it.
    expect(server.receive(write.data(1, new Uint8Array(1_048_576)), 40)).toHaveLength(1)
    server.receive(write.data(2, new Uint8Array(262_143)), 40)
    expect(said(server)).toEqual([])
    server.receive(write.ping(), 50)
    server.receive(write.data(2, 'x'), 50)
    expect(said(server)).toEqual(['HOLD 2 262144'])
    server.consumed(1, 262_144 + 1_048_576, 60)
    expect(said(server)).toEqual([`CREDIT 1 ${OPEN_WINDOW + 1_048_576}`])
  })

  /** Where a new stream is held that is not read from. */
  function heldAt(server: Server, stream: number): string | undefined {
    server.receive(concatBytes([write.open(stream), write.data(stream, new Uint8Array(65_536))]), 0)
    server.receive(write.data(stream, new Uint8Array(196_608)), 0)
    return said(server).find((line) => line.startsWith('HOLD'))
  }

  /** A new stream that holds unread all that the connection may. */
  function fill(server: Server, stream: number): void {
    server.receive(write.open(stream), 0)
    give(server, stream, CONNECTION_UNREAD / MIB)
    said(server)
  }

  function give(server: Server, stream: number, mebibytes: number): void {
    const frame = write.data(stream, new Uint8Array(MIB))
    for (let count = 0; count < mebibytes; count += 1) server.receive(frame, 0)
  }

  it('mux1: what its siblings hold unread leaves a stream less, until it is read or they are gone', () => {
    const server = openServer({ mux1Window: OPEN_WINDOW })
    fill(server, 1)
    expect(heldAt(server, 2)).toBe('HOLD 2 65536')
    server.consumed(1, CONNECTION_UNREAD, 0)
    expect(heldAt(server, 3)).toBe('HOLD 3 262144')
    fill(server, 4)
    expect(heldAt(server, 5)).toBe('HOLD 5 65536')
    server.resetStream(4, 0, '', 0)
    expect(heldAt(server, 6)).toBe('HOLD 6 262144')
  })

  it('mux1: nothing of a stream that has overrun its window counts as unread', () => {
    const server = openServer({ mux1Window: OPEN_WINDOW })
    fill(server, 1)
    server.receive(write.open(2), 0)
    const frame = write.data(2, new Uint8Array(CONNECTION_UNREAD + 1))
    for (let count = 1; count < 16; count += 1) server.receive(frame, 0)
    expect(server.receive(frame, 0).map(({ type }) => type)).toEqual(['data', 'close'])
    said(server)
    expect(heldAt(server, 3)).toBe('HOLD 3 65536')
    server.resetStream(1, 0, '', 0)
    expect(heldAt(server, 4)).toBe('HOLD 4 262144')
  })

  it('mux1: a stream that is alone may hold what its pace allows, one with a sibling has to share', () => {
    for (const [others, held] of [
      [[], []],
      [[2], [`HOLD 1 ${61 * MIB}`]],
    ] as const) {
      const server = openServer({ mux1Window: OPEN_WINDOW })
      for (const stream of [1, ...others]) server.receive(write.open(stream), 0)
      give(server, 1, 40)
      server.consumed(1, 40 * MIB, 0)
      said(server)
      give(server, 1, 60)
      expect(said(server)).toEqual(held)
    }
  })

  it('mux1: STREAM_HOLD takes back what reaches beyond its limit, and credit counts from there', () => {
    forBoth((machine, role) => {
      machine.sendData(1, [new Uint8Array(60_000)], 60_000, 0)
      expect(machine.receive(write.hold(1, 90_000), 0), role).toEqual([])
      expect(machine.credit(1), role).toBe(30_000)
      // It never gives any.
      machine.receive(write.hold(1, 95_000), 0)
      expect(machine.credit(1), role).toBe(30_000)
      machine.receive(write.hold(1, 50_000), 0)
      expect(machine.credit(1), role).toBe(0)
      expect(told(machine.receive(write.credit(1, 10_000), 0)), role).toEqual([])
      expect(told(machine.receive(write.credit(1, 7), 0)), role).toEqual(['credit 1'])
      expect(machine.credit(1), role).toBe(7)
    })
  })

  it('D11: STREAM_HOLD for a stream that is gone is nothing, for one that was never opened a violation', () => {
    forBoth((machine, role) => {
      expect(told(machine.receive(write.hold(2, 1), 0)), role).toEqual([
        'closed ERR_PROTOCOL_VIOLATION',
      ])
    })
    forBoth((machine, role) => {
      machine.resetStream(1, 0, '', 0)
      expect(machine.receive(write.hold(1, 1), 0), role).toEqual([])
    })
  })

  it('D26: credit is a frame on its stream, for the end that sends it as well', () => {
    const server = openServer({ ...MUX1, timeouts: { stream: 1_000 } })
    server.receive(write.stream(6, 1, new Uint8Array(40_000)), 0)
    server.consumed(1, 40_000, 900)
    expect(server.timeout(1_899)).toEqual([])
    expect(told(server.timeout(1_900))).toEqual(['close 1 ERR_STREAM_TIMEOUT'])
  })

  it('D7: credit is no acceptance, but it ends the open timeout (D26)', () => {
    const client = openClient(MUX1)
    client.openStream(0)
    expect(client.receive(write.credit(1, 5), 0)).toEqual([])
    client.timeout(10_000)
    expect(client.streamCount).toBe(1)
    expect(told(client.receive(write.rst(1), 0))).toEqual(['close 1 ERR_STREAM_RESET'])
  })

  it('D11: credit for a stream that was never opened is a violation', () => {
    forBoth((machine) => {
      expect(told(machine.receive(write.credit(2, 1), 0))).toEqual([
        'closed ERR_PROTOCOL_VIOLATION',
      ])
    })
  })
})

describe('STREAM_FIN', () => {
  it('mux1: each direction ends by itself, and the stream when both have', () => {
    forBoth((machine, role) => {
      expect(machine.finishStream(1, 0), role).toEqual([])
      expect(said(machine), role).toEqual(['FIN 1'])
      expect(told(machine.receive(write.data(1, 'still'), 0)), role).toEqual(['data 1 still'])
      expect(told(machine.receive(write.fin(1), 0)), role).toEqual(['end 1', 'close 1'])
      expect(machine.streamCount, role).toBe(0)
    })
    forBoth((machine, role) => {
      expect(told(machine.receive(write.fin(1), 0)), role).toEqual(['end 1'])
      machine.sendData(1, [new TextEncoder().encode('still')], 5, 0)
      expect(told(machine.finishStream(1, 0)), role).toEqual(['close 1'])
      expect(said(machine), role).toEqual(['DATA 1 still', 'FIN 1'])
    })
  })

  it('ending twice says it once', () => {
    forBoth((machine) => {
      machine.finishStream(1, 0)
      machine.finishStream(1, 0)
      expect(said(machine)).toEqual(['FIN 1'])
    })
  })

  it('a STREAM_FIN in place of STREAM_ACK accepts the stream', () => {
    const client = openClient(MUX1)
    client.openStream(0)
    expect(told(client.receive(write.fin(1), 0))).toEqual(['accept 1', 'end 1'])
  })

  it('data or a second STREAM_FIN after STREAM_FIN break that stream alone', () => {
    for (const frame of [write.data(1, 'x'), write.fin(1)]) {
      forBoth((machine, role) => {
        machine.receive(write.fin(1), 0)
        expect(told(machine.receive(frame, 0)), role).toEqual(['close 1 ERR_PROTOCOL_VIOLATION'])
        expect(said(machine)[0], role).toMatch(/^RESET 1 3 /)
      })
    }
  })

  it('after STREAM_FIN what is consumed needs no credit', () => {
    forBoth((machine, role) => {
      machine.receive(concatBytes([write.data(1, new Uint8Array(60_000)), write.fin(1)]), 0)
      machine.consumed(1, 60_000, 0)
      expect(machine.takeWrites(), role).toEqual([])
    })
  })

  it('mux1, Rules: RST keeps its meaning, both directions at once', () => {
    forBoth((machine, role) => {
      expect(told(machine.receive(write.rst(1), 0)), role).toEqual(['close 1'])
      expect(machine.takeWrites(), role).toEqual([])
    })
  })
})

describe('STREAM_RESET', () => {
  it('mux1: it carries code and reason to the application', () => {
    forBoth((machine, role) => {
      const [event] = machine.receive(write.reset(1, 5, 'no route\nto it'), 0)
      const error = event?.type === 'close' ? event.error : undefined
      expect(error, role).toMatchObject({
        code: 'ERR_STREAM_RESET',
        closeCode: 5,
        reason: 'no route\nto it',
      })
      expect(machine.takeWrites(), role).toEqual([])
      expect(machine.streamCount, role).toBe(0)
    })
  })

  it('draft, Appendix B: a reason that is no TEXT block is rejected, the reset stands', () => {
    forBoth((machine) => {
      const [event] = machine.receive(write.reset(1, 99, '\x07'), 0)
      const error = event?.type === 'close' ? event.error : undefined
      expect(error).toMatchObject({ closeCode: 99, reason: '(no valid text)' })
    })
  })

  it('mux1: it refuses an OPEN', () => {
    const server = openServer({ ...MUX1, maxStreams: 1 })
    server.receive(concatBytes([write.open(1), write.open(2)]), 0)
    server.resetStream(1, 6, 'not allowed', 0)
    expect(said(server)).toEqual(['RESET 2 4 too many streams', 'RESET 1 6 not allowed'])
    const client = openClient(MUX1)
    client.openStream(0)
    expect(told(client.receive(write.reset(1, 6, 'not allowed'), 0))).toEqual([
      'close 1 ERR_STREAM_RESET',
    ])
  })

  it('mux1: a reason of ours is cut to a TEXT block of 1,024 bytes', () => {
    forBoth((machine) => {
      machine.resetStream(1, 6, `\u00e9${'x'.repeat(5_000)}`, 0)
      expect(said(machine)).toEqual([`RESET 1 6 ?${'x'.repeat(1_023)}`])
    })
  })

  it('a reset without a reason to tell is RST', () => {
    forBoth((machine) => {
      machine.resetStream(1, 0, 'unheard', 0)
      expect(said(machine)).toEqual(['RST 1'])
    })
  })

  it('a stream timeout is told with code 2', () => {
    const client = openClient(MUX1)
    client.openStream(0)
    client.takeWrites()
    client.timeout(10_000)
    expect(said(client)[0]).toMatch(/^RESET 1 2 /)
  })
})

describe('GOAWAY', () => {
  const ALL = Number.MAX_SAFE_INTEGER

  it('mux1: streams up to the last run to their end, those above were never served', () => {
    const client = openClient(MUX1)
    for (let count = 0; count < 4; count += 1) client.openStream(0)
    client.takeWrites()
    expect(told(client.receive(write.goaway(2, 0), 0))).toEqual([
      'draining',
      'close 3 ERR_SESSION_DRAINING',
      'close 4 ERR_SESSION_DRAINING',
    ])
    expect(client.mayOpen).toBe(false)
    expect(told(client.receive(write.data(2, 'on'), 0))).toEqual(['accept 2', 'data 2 on'])
    expect(told(client.receive(concatBytes([write.rst(1), write.rst(2)]), 0))).toEqual([
      'close 1 ERR_STREAM_RESET',
      'close 2',
      'closed',
    ])
    expect(said(client)).toEqual(['GOAWAY 4 0', 'CLOSE 0'])
  })

  it('mux1: the connection closes at once when no stream is left to run; that is the last event', () => {
    const idle = openClient(MUX1)
    expect(told(idle.receive(write.goaway(0, 0), 0))).toEqual(['draining', 'closed'])
    const refused = openClient(MUX1)
    refused.openStream(0)
    expect(told(refused.receive(write.goaway(0, 0), 0))).toEqual([
      'draining',
      'close 1 ERR_SESSION_DRAINING',
      'closed',
    ])
  })

  it('a second GOAWAY may lower the last stream; draining is told once', () => {
    const client = openClient(MUX1)
    client.openStream(0)
    client.openStream(0)
    client.receive(write.goaway(2, 0), 0)
    expect(told(client.receive(write.goaway(1, 0), 0))).toEqual(['close 2 ERR_SESSION_DRAINING'])
    const closing = openClient(MUX1)
    closing.openStream(0)
    expect(told(closing.close(0))).toEqual(['draining'])
    expect(told(closing.receive(write.goaway(1, 0), 0))).toEqual([])
  })

  it('mux1, N41: a client answers with the highest stream that it has opened, once', () => {
    const client = openClient(MUX1)
    for (let count = 0; count < 2; count += 1) client.openStream(0)
    client.takeWrites()
    expect(told(client.receive(write.goaway(ALL, 0), 0))).toEqual(['draining'])
    expect(said(client)).toEqual(['GOAWAY 2 0'])
    expect(client.mayOpen).toBe(false)
    client.receive(write.goaway(2, 0), 0)
    expect(said(client)).toEqual([])
  })

  it('mux1, N41: a server that drains serves what was opened until the client answers GOAWAY, and then refuses', () => {
    const server = openServer(MUX1)
    server.receive(concatBytes([write.open(1), write.open(7)]), 0)
    expect(told(server.close(0))).toEqual(['draining'])
    expect(server.close(0)).toEqual([])
    expect(said(server)).toEqual([`GOAWAY ${ALL} 0`])
    expect(told(server.receive(write.open(8), 0))).toEqual(['open 8'])
    expect(told(server.receive(concatBytes([write.goaway(9, 0), write.open(9)]), 0))).toEqual([])
    expect(said(server)).toEqual(['RESET 9 6 the server is stopping'])
    const ends = concatBytes([write.rst(1), write.rst(7), write.rst(8)])
    expect(told(server.receive(ends, 0))).toEqual(['close 1', 'close 7', 'close 8', 'closed'])
    expect(said(server)).toEqual(['CLOSE 0'])
  })

  it('mux1, N41: a server waits a second for the answer, says the last stream and takes a late one', () => {
    const server = openServer(MUX1)
    server.receive(write.open(7), 0)
    server.close(50)
    server.takeWrites()
    expect(server.deadline).toBe(1_050)
    expect(server.timeout(1_050)).toEqual([])
    expect(said(server)).toEqual(['GOAWAY 7 0'])
    expect(told(server.receive(concatBytes([write.open(8), write.goaway(8, 0)]), 1_100))).toEqual(
      [],
    )
    expect(said(server)).toEqual(['RESET 8 6 the server is stopping'])
    expect(told(server.receive(write.rst(7), 1_200))).toEqual(['close 7', 'closed'])
  })

  it('mux1, N41: an idle connection stands until the answer, for an OPEN may be under way', () => {
    const server = openServer(MUX1)
    expect(told(server.close(0))).toEqual(['draining'])
    expect(told(server.receive(write.open(1), 0))).toEqual(['open 1'])
    expect(told(server.receive(write.goaway(1, 0), 0))).toEqual([])
    expect(told(server.receive(write.rst(1), 0))).toEqual(['close 1', 'closed'])
    const unused = openServer(MUX1)
    unused.close(0)
    expect(told(unused.receive(write.goaway(0, 0), 0))).toEqual(['closed'])
    expect(said(unused)).toEqual([`GOAWAY ${ALL} 0`, 'CLOSE 0'])
  })

  it('without mux1 a server that drains says nothing and refuses at once', () => {
    const server = openServer()
    server.receive(write.open(1), 0)
    server.close(0)
    expect(server.receive(write.open(2), 0)).toEqual([])
    expect(said(server)).toEqual(['RST 2'])
  })
})
