// The client machine by event and byte: Deliver 0, negotiation, schemes, streams it opens, its ends.
import { describe, expect, it } from 'vitest'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { parseScheme } from '../../../src/shaping/scheme.ts'
import { write } from '../../support/v1-frames.ts'
import { toHex } from '../../codec/vectors.ts'
import {
  bytesOf,
  clientNego,
  HASH,
  makeClient,
  negotiatingClient,
  openClient,
  PLAIN,
  said,
  serverNego,
  told,
} from './support.ts'

const NEGO = `NEGO version=1\nclient=test/1\npadding-md5=${PLAIN.digest}\n`

describe('Deliver 0', () => {
  it('draft, Authentication: the client MUST immediately send AUTH, and a NEGO immediately after it', () => {
    const client = makeClient()
    client.openStream(0)
    expect(said(client)).toEqual(['AUTH 0', NEGO, 'OPEN 1'])
  })

  it('draft, Scheme v0 Phase 1: AUTH, NEGO and OPEN SHOULD be aggregated; D28: they are one Write alone', () => {
    for (const stop of ['0', '1', '2']) {
      const client = makeClient({ scheme: parseScheme(`stop=${stop}`) })
      client.openStream(0)
      client.sendData(1, [new Uint8Array(5)], 5, 0)
      client.openStream(0)
      const [first, ...rest] = client.takeWrites()
      expect(first?.shaped, stop).toBe(true)
      expect(first?.parts.length, stop).toBe(1)
      expect(said({ takeWrites: () => (first === undefined ? [] : [first]) }), stop).toEqual([
        'AUTH 0',
        NEGO.replace(PLAIN.digest, parseScheme(`stop=${stop}`).digest),
        'OPEN 1',
      ])
      expect(said({ takeWrites: () => rest }), stop).toEqual(['DATA 1 \0\0\0\0\0', 'OPEN 2'])
    }
  })

  it('D28: AUTH is padded by the first range of index 0, with zeros', () => {
    const client = makeClient({ scheme: parseScheme('stop=1\n0=30-30,900-900') })
    client.openStream(0)
    const [first] = client.takeWrites()
    const bytes = bytesOf(first === undefined ? [] : [first])
    expect(toHex(bytes.subarray(0, 65))).toBe(`0000${toHex(HASH)}1e${'00'.repeat(30)}`)
    expect(bytes[65]).toBe(0x03)
  })

  it('D25: AUTH and NEGO wait for the first stream, 20 ms by default, and then leave alone', () => {
    const client = makeClient({}, 1_000)
    expect(client.deadline).toBe(1_020)
    client.timeout(1_019)
    expect(client.takeWrites()).toEqual([])
    expect(client.timeout(1_020)).toEqual([])
    expect(said(client)).toEqual(['AUTH 0', NEGO])
    client.openStream(1_021)
    expect(said(client)).toEqual(['OPEN 1'])
  })

  it('D25: a stream within the hold ends it, and its timer is gone', () => {
    const client = makeClient({}, 0)
    client.openStream(19)
    expect(said(client)).toEqual(['AUTH 0', NEGO, 'OPEN 1'])
    client.timeout(20)
    expect(client.takeWrites()).toEqual([])
  })

  it('D29: each later frame is one Deliver, and the first data after OPEN is Deliver 1', () => {
    const scheme = parseScheme('stop=4\n0=7-7\n1=100-100\n2=200-200\n3=3-3,50-50')
    const client = makeClient({ scheme })
    client.openStream(0)
    client.sendData(1, [new Uint8Array(10)], 10, 0)
    client.openStream(0)
    client.resetStream(2, 0, '', 0)
    client.openStream(0)
    const writes = client.takeWrites()
    // RST of 2 bytes with a target of 3: a gap of 1 cannot be padded (D22); then PADDING of 50 alone.
    expect(writes.slice(1).map(({ bytes, shaped }) => [bytes, shaped])).toEqual([
      [100, true],
      [200, true],
      [2, true],
      [50, true],
      [2, false],
    ])
    expect(client.shaping).toBe(false)
  })

  it('N46: a control frame that the scheme gives no size is padded to the next that it gives', () => {
    const client = makeClient({ scheme: parseScheme('stop=9\n0=7-7\n4=60-60') })
    client.openStream(0)
    client.openStream(0)
    expect(
      client
        .takeWrites()
        .map(({ bytes }) => bytes)
        .slice(1),
    ).toEqual([60])
  })

  it('draft, Scheme v0 Phase 2: each frame SHOULD be an individual Deliver, counted up to stop', () => {
    const client = makeClient({ scheme: parseScheme('stop=3') })
    client.openStream(0)
    expect(client.shaping).toBe(true)
    client.sendData(1, [new Uint8Array(1)], 1, 0)
    client.sendData(1, [new Uint8Array(1)], 1, 0)
    expect(client.shaping).toBe(false)
    client.sendData(1, [new Uint8Array(1)], 1, 0)
    client.sendData(1, [new Uint8Array(1)], 1, 0)
    const first = makeClient({ scheme: parseScheme('stop=3') })
    first.openStream(0)
    expect(client.takeWrites().map(({ shaped, bytes }) => [shaped, bytes])).toEqual([
      [true, bytesOf(first.takeWrites()).length],
      [true, 4],
      [true, 4],
      [false, 8],
    ])
  })

  it('draft, Scheme v0 Phase 3: what the sizes leave over MUST be one unshaped Write of its own, at once', () => {
    const client = makeClient({ scheme: parseScheme('stop=2\n1=10-10,20-20') })
    client.openStream(0)
    client.sendData(1, [new Uint8Array(100)], 100, 0)
    expect(
      client
        .takeWrites()
        .map(({ bytes }) => bytes)
        .slice(1),
    ).toEqual([10, 20, 74])
  })

  it('D10: unshaped stream data is passed on as the parts it was given', () => {
    const client = openClient()
    client.openStream(0)
    const data = new Uint8Array(1000)
    client.sendData(1, [data], 1000, 0)
    const [only] = client.takeWrites()
    expect(only?.parts.at(-1)).toBe(data)
    expect(client.maxPayload).toBeLessThanOrEqual(65_535)
  })
})

describe('negotiation', () => {
  it('draft, Version Negotiation: the client takes the version that the server selected', () => {
    const client = negotiatingClient()
    expect(client.current).toBe('negotiating')
    expect(told(client.receive(write.serverNego(serverNego()), 5))).toEqual(['established peer/1'])
    expect(client.current).toBe('open')
  })

  it('D3: a server NEGO on stream 6 is as good as one on stream 0', () => {
    const client = negotiatingClient()
    expect(told(client.receive(write.serverNego(serverNego(), 6), 0))).toEqual([
      'established peer/1',
    ])
  })

  it('D9, D19: before the server NEGO only PADDING, ALERT and CLOSE are legal', () => {
    const frames = {
      auth: write.auth(HASH),
      nego: write.clientNego(clientNego()),
      scheme: write.schemeUpdate('stop=1\n'),
      ping: write.ping(),
      data: write.data(1, 'x'),
      rst: write.rst(1),
      open: write.open(1),
      ack: write.ack(1),
    }
    for (const [name, frame] of Object.entries(frames)) {
      const client = makeClient()
      client.openStream(0)
      client.takeWrites()
      expect(told(client.receive(frame, 0)), name).toEqual(['closed ERR_AUTH_REJECTED'])
    }
    const client = negotiatingClient()
    expect(client.receive(write.padding(100), 0)).toEqual([])
    expect(told(client.receive(write.alert('go'), 0))).toEqual(['closed ERR_ALERT_RECEIVED'])
  })

  it('a server that answers with something else than ANYTLS is left without an ALERT', () => {
    for (const answer of ['HTTP/1.1 400 Bad Request\r\n\r\n', '\0\0\x12\x04\0\0\0\0\0']) {
      const client = negotiatingClient()
      const events = client.receive(new TextEncoder().encode(answer.padEnd(60, '\0')), 0)
      expect(told(events)).toEqual(['closed ERR_AUTH_REJECTED'])
      const [closed] = events
      expect(closed?.type === 'closed' && closed.error?.message).toMatch(/wrong password/)
      expect(client.takeWrites()).toEqual([])
    }
  })

  it('a second server NEGO is a violation (D19)', () => {
    const client = openClient()
    const events = client.receive(write.serverNego(serverNego()), 0)
    expect(told(events)).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
    expect(said(client)).toEqual(['ALERT server-nego while open'])
  })

  it('D20: a version that was not offered is answered with CLOSE 7, and the end', () => {
    for (const version of ['2', '0', 'one']) {
      const client = negotiatingClient()
      const events = client.receive(write.serverNego(`version=${version}\nserver=x\n`), 0)
      expect(told(events)).toEqual(['closed ERR_VERSION_UNSUPPORTED'])
      expect(said(client)).toEqual(['CLOSE 7'])
    }
  })

  it('D20, D21: CLOSE 7 from the server says that it speaks no version of ours', () => {
    for (const draining of [false, true]) {
      const client = makeClient()
      client.openStream(0)
      if (draining) client.close(0)
      expect(told(client.receive(write.close(7), 0)).at(-1)).toBe('closed ERR_VERSION_UNSUPPORTED')
    }
  })

  it('a server NEGO that breaks its rules is a violation', () => {
    for (const body of ['', 'server=x\n', 'version=1,2\n', 'version=1']) {
      const client = negotiatingClient()
      const events = client.receive(write.serverNego(body), 0)
      expect(told(events), body).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
    }
  })

  it('the end of the input before the server NEGO is a refusal without a word, whether streams are open or not', () => {
    for (const streams of [0, 1]) {
      const client = makeClient()
      if (streams > 0) client.openStream(0)
      else client.timeout(20)
      const events = client.endOfInput(30)
      expect(told(events)).toEqual(['closed ERR_AUTH_REJECTED'])
      const [closed] = events
      if (closed?.type !== 'closed') throw new Error('it is not closed')
      expect(closed.error?.message).toMatch(/wrong password/)
      expect(closed.error?.cause).toMatchObject({ code: 'ERR_CONNECTION_LOST' })
    }
  })

  it('with a word, however short, it is no refusal without one', () => {
    for (const [word, cause] of [
      [write.padding(1).subarray(0, 1), undefined],
      [new Uint8Array(0), expect.objectContaining({ code: 'ERR_CONNECTION_LOST' })],
    ] as const) {
      const client = negotiatingClient()
      expect(client.receive(word, 10)).toEqual([])
      const [closed] = client.endOfInput(30)
      expect(closed?.type === 'closed' && closed.error?.cause).toEqual(cause)
    }
  })

  it('D26: no server NEGO within its time ends the connection', () => {
    const client = makeClient({ timeouts: { nego: 700 } })
    client.timeout(20)
    client.takeWrites()
    expect(client.deadline).toBe(720)
    expect(client.timeout(719)).toEqual([])
    expect(told(client.timeout(720))).toEqual(['closed ERR_CONNECTION_TIMEOUT'])
    expect(client.takeWrites()).toEqual([])
  })

  it('D26: so it does where the client closes meanwhile, and with a part of a frame it is a refusal', () => {
    const client = makeClient({ timeouts: { nego: 700 } })
    client.openStream(20)
    client.close(20)
    client.receive(write.serverNego(serverNego()).subarray(0, 5), 30)
    expect(client.deadline).toBe(720)
    expect(told(client.timeout(720))).toEqual(['closed ERR_AUTH_REJECTED'])
  })
})

describe('padding scheme', () => {
  const update = 'stop=3\n0=40-40\n1=60-90\n'

  it('draft, Padding Scheme Update: the scheme of the server is handed on for every later connection', () => {
    const client = openClient()
    const [event] = client.receive(write.schemeUpdate(update), 0)
    expect(event?.type === 'scheme' && event.scheme.text).toBe(update.trimEnd())
    // The next connection MUST strictly use it: its NEGO tells the digest, its AUTH the padding.
    if (event?.type !== 'scheme') return
    const next = makeClient({ scheme: event.scheme })
    next.openStream(0)
    expect(said(next).slice(0, 2)).toEqual([
      'AUTH 40',
      `NEGO version=1\nclient=test/1\npadding-md5=${event.scheme.digest}\n`,
    ])
  })

  it('D23: the connection that is running keeps the scheme that it began with', () => {
    const client = openClient({ scheme: parseScheme('stop=9\n1=500-500\n2=600-600') })
    client.receive(write.schemeUpdate(update), 0)
    client.openStream(0)
    client.openStream(0)
    expect(client.takeWrites().map(({ bytes }) => bytes)).toEqual([500, 600])
  })

  it('D23: a scheme that is refused leaves the connection and its streams as they are', () => {
    for (const [body, code] of [
      ['0=1-1\n', 'ERR_SCHEME_SYNTAX'],
      ['', 'ERR_SCHEME_SYNTAX'],
      ['\xff\xfe', 'ERR_SCHEME_SYNTAX'],
      ['stop=4000000000\n', 'ERR_SCHEME_LIMIT'],
      [`stop=2\n1=${Array(500).fill('9-9').join(',')}\n`, 'ERR_SCHEME_LIMIT'],
    ]) {
      const client = openClient()
      client.openStream(0)
      client.takeWrites()
      const events = client.receive(write.schemeUpdate(body ?? ''), 0)
      expect(told(events)).toEqual([`scheme-refused ${code}`])
      expect(client.takeWrites()).toEqual([])
      expect(told(client.receive(write.data(1, 'on'), 0))).toEqual(['accept 1', 'data 1 on'])
    }
  })

  it('D23: a second PADDING_UPDATE_SCHEME on one connection is a violation', () => {
    const client = openClient()
    client.receive(write.schemeUpdate('stop=1\n'), 0)
    const events = client.receive(write.schemeUpdate('stop=2\n'), 0)
    expect(told(events)).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
    expect(said(client)).toEqual(['ALERT PADDING_UPDATE_SCHEME twice'])
  })
})

describe('streams', () => {
  it('draft, Streams: each MUST be opened by OPEN, with ids above zero, unique and increasing (D27)', () => {
    const client = makeClient()
    expect([client.openStream(0), client.openStream(0), client.openStream(1)]).toEqual([1, 2, 3])
    client.resetStream(3, 0, '', 1)
    expect(client.openStream(2)).toBe(4)
    expect(said(client).slice(2)).toEqual(['OPEN 1', 'OPEN 2', 'OPEN 3', 'RST 3', 'OPEN 4'])
  })

  it('draft, Stream Identifiers: each connection has an ID space of its own', () => {
    const [one, other] = [makeClient(), makeClient()]
    expect([one.openStream(0), one.openStream(0)]).toEqual([1, 2])
    expect([other.openStream(0), one.openStream(0), other.openStream(0)]).toEqual([1, 3, 2])
  })

  it('a stream may be used before the server has said anything', () => {
    const client = makeClient()
    client.openStream(0)
    client.sendData(1, [new TextEncoder().encode('early')], 5, 0)
    expect(said(client).slice(2)).toEqual(['OPEN 1', 'DATA 1 early'])
    // Deliver 0 has left, the server's NEGO has not come: streams are opened and ended all the same.
    expect(client.mayOpen).toBe(true)
    expect(client.openStream(1)).toBe(2)
    client.sendData(2, [new TextEncoder().encode('too')], 3, 1)
    client.resetStream(1, 0, '', 1)
    expect(said(client)).toEqual(['OPEN 2', 'DATA 2 too', 'RST 1'])
  })

  it('D27: after 2^53 - 2 no stream can be opened', () => {
    const client = openClient()
    client.useUpIds(Number.MAX_SAFE_INTEGER - 2)
    expect(client.openStream(0)).toBe(Number.MAX_SAFE_INTEGER - 1)
    expect(said(client)).toEqual([`OPEN ${Number.MAX_SAFE_INTEGER - 1}`])
    expect(client.mayOpen).toBe(false)
    expect(() => client.openStream(0)).toThrow(
      expect.objectContaining({ code: 'ERR_STREAM_LIMIT' }) as Error,
    )
  })

  it('D9: OPEN, AUTH and the client NEGO from a server are violations', () => {
    const frames = [
      write.open(1),
      write.stream(7, 2, 'x'),
      write.auth(HASH),
      write.clientNego(clientNego()),
    ]
    for (const frame of frames) {
      const client = openClient()
      expect(told(client.receive(frame, 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
      expect(said(client)[0]).toMatch(/^ALERT /)
    }
  })

  it('without mux1, end() waits for the answer: data still comes, RST follows after a silence', () => {
    const client = openClient({ timeouts: { linger: 500 } })
    client.openStream(0)
    client.receive(write.ack(1), 10)
    expect(client.finishStream(1, 20)).toEqual([])
    expect(said(client)).toEqual(['OPEN 1'])
    expect(told(client.receive(write.data(1, 'answer'), 100))).toEqual(['data 1 answer'])
    client.timeout(520)
    expect(client.timeout(599)).toEqual([])
    expect(client.takeWrites()).toEqual([])
    expect(told(client.timeout(600))).toEqual(['close 1'])
    expect(said(client)).toEqual(['RST 1'])
  })
})

describe('the end', () => {
  it('before Deliver 0 closing says nothing at all', () => {
    for (const end of ['close', 'abort'] as const) {
      const client = makeClient()
      const events = end === 'close' ? client.close(0) : client.abort(0, 0)
      expect(told(events)).toEqual(['closed'])
      expect(client.takeWrites()).toEqual([])
      expect(client.deadline).toBe(Infinity)
    }
  })

  it('closing without streams says CLOSE 0', () => {
    const client = openClient()
    expect(told(client.close(0))).toEqual(['draining', 'closed'])
    expect(said(client)).toEqual(['CLOSE 0'])
  })

  it('closing lets streams run to their end and opens no others', () => {
    const client = openClient()
    client.openStream(0)
    expect(told(client.close(0))).toEqual(['draining'])
    expect(client.mayOpen).toBe(false)
    expect(() => client.openStream(0)).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_DRAINING' }) as Error,
    )
    expect(told(client.receive(write.data(1, 'last'), 1))).toEqual(['accept 1', 'data 1 last'])
    expect(told(client.receive(write.rst(1), 2))).toEqual(['close 1', 'closed'])
    expect(said(client)).toEqual(['OPEN 1', 'CLOSE 0'])
    expect(() => client.openStream(3)).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_CLOSED' }) as Error,
    )
  })

  it('closing before the server NEGO goes on with it and then drains', () => {
    const client = makeClient()
    client.openStream(0)
    expect(told(client.close(0))).toEqual(['draining'])
    expect(client.current).toBe('draining-early')
    expect(told(client.receive(write.serverNego(serverNego()), 1))).toEqual(['established peer/1'])
    expect(client.current).toBe('draining')
    expect(told(client.resetStream(1, 0, '', 2))).toEqual(['closed'])
    expect(said(client).slice(2)).toEqual(['OPEN 1', 'RST 1', 'CLOSE 0'])
  })

  it('D21: abort tells its code, and nothing follows', () => {
    const client = openClient()
    client.openStream(0)
    expect(told(client.abort(4, 0))).toEqual(['closed'])
    expect(said(client)).toEqual(['OPEN 1', 'CLOSE 4'])
    expect(client.streamCount).toBe(0)
    expect(client.receive(write.data(1, 'late'), 0)).toEqual([])
    expect(client.abort(4, 0)).toEqual([])
    expect(client.close(0)).toEqual([])
    expect(client.endOfInput(0)).toEqual([])
    expect(client.timeout(1e9)).toEqual([])
    expect(client.takeWrites()).toEqual([])
  })

  it('D21: the number of each code is that of the decision', () => {
    const numbers: Record<keyof typeof CloseCode, number> = {
      Graceful: 0,
      RemoteDisconnect: 1,
      Timeout: 2,
      ProtocolError: 3,
      ResourceExhausted: 4,
      DestinationUnreachable: 5,
      Rejected: 6,
      UnsupportedVersion: 7,
    }
    for (const [name, number] of Object.entries(numbers)) {
      const client = openClient()
      client.abort(CloseCode[name as keyof typeof CloseCode], 0)
      expect(said(client), name).toEqual([`CLOSE ${number}`])
    }
  })

  it('D21: CLOSE with a code is an error that carries it, unknown ones as numbers; 0 is the orderly end', () => {
    for (const code of [1, 2, 3, 4, 5, 6, 99, 9_007_199_254_740_991]) {
      const [event] = openClient().receive(write.close(code), 0)
      const error = event?.type === 'closed' ? event.error : undefined
      expect(error).toMatchObject({ code: 'ERR_CLOSE_RECEIVED', closeCode: code })
    }
    expect(told(openClient().receive(write.close(0), 0))).toEqual(['closed'])
  })

  it('an ALERT ends the connection; its text is shown in one line, and none that breaks Appendix B', () => {
    for (const [text, shown] of [
      ['no such luck', 'the peer sent an alert: no such luck'],
      ['two\nlines', 'the peer sent an alert: two lines'],
      ['\x1b[31mred', 'the peer sent an alert: (no valid text)'],
      ['', 'the peer sent an alert: '],
    ]) {
      const client = openClient()
      const [event] = client.receive(write.alert(text ?? ''), 0)
      const error = event?.type === 'closed' ? event.error : undefined
      expect(error).toMatchObject({ code: 'ERR_ALERT_RECEIVED', message: shown })
      expect(client.takeWrites()).toEqual([])
    }
  })
})
