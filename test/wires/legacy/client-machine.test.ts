// The client machine of the original wire by event and byte: what leaves together, versions, streams that it
// opens and the answers to them, schemes, what servers get wrong.
import { describe, expect, it } from 'vitest'
import type { PeerCloseError } from '../../../src/errors.ts'
import type { MachineEvent } from '../../../src/engine/machine.ts'
import { parseScheme } from '../../../src/shaping/scheme.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { ascii } from '../../support/v1-frames.ts'
import { fromHex } from '../../codec/vectors.ts'
import { frame, write } from './frames.ts'
import {
  flushedClient,
  makeClient,
  oldClient,
  openClient,
  PLAIN,
  said,
  saidInWrites,
  send,
  told,
} from './support.ts'

const SETTINGS = `SETTINGS v=2\nclient=test/1\npadding-md5=${PLAIN.digest}`

describe('what leaves together', () => {
  it('legacy-wire, Streams: the authentication block alone, then settings, SYN and the first PSH as one Write', () => {
    const client = makeClient({ scheme: parseScheme('stop=2') })
    expect(client.openStream(0)).toBe(1)
    send(client, 1, 'target', 0)
    expect(saidInWrites(client)).toEqual([
      ['AUTH 0'],
      [SETTINGS.replace(PLAIN.digest, parseScheme('stop=2').digest), 'SYN 1', 'PSH 1 target'],
    ])
  })

  it('the authentication block leaves at once with the first stream, SYN waits for its data', () => {
    const client = makeClient()
    client.openStream(0)
    expect(said(client)).toEqual(['AUTH 0'])
    expect(client.takeWrites()).toEqual([])
    send(client, 1, 'target', 5)
    expect(said(client)).toEqual([SETTINGS, 'SYN 1', 'PSH 1 target'])
  })

  it('D25: a stream without data has its SYN sent after the hold time, 20 ms by default', () => {
    const client = makeClient({}, 100)
    client.openStream(103)
    client.takeWrites()
    expect(client.deadline).toBe(123)
    expect(client.timeout(122)).toEqual([])
    expect(client.takeWrites()).toEqual([])
    client.timeout(123)
    expect(said(client)).toEqual([SETTINGS, 'SYN 1'])
    send(client, 1, 'late', 130)
    expect(said(client)).toEqual(['PSH 1 late'])
  })

  it('a second stream does not put off the SYN of the first', () => {
    const client = makeClient()
    client.openStream(0)
    client.openStream(15)
    client.takeWrites()
    client.timeout(20)
    expect(said(client)).toEqual([SETTINGS, 'SYN 1', 'SYN 2'])
  })

  it('D25: without a stream the authentication block and the settings leave after the hold time', () => {
    const client = makeClient({ scheme: parseScheme('stop=1') }, 1_000)
    expect(client.deadline).toBe(1_020)
    client.timeout(1_019)
    expect(client.takeWrites()).toEqual([])
    expect(client.timeout(1_020)).toEqual([])
    expect(saidInWrites(client).map((frames) => frames.length)).toEqual([1, 1])
    client.openStream(1_021)
    send(client, 1, 'target', 1_021)
    expect(said(client)).toEqual(['SYN 1', 'PSH 1 target'])
  })

  it('a later SYN rides with its first PSH in one Deliver', () => {
    const client = openClient({ scheme: parseScheme('stop=4\n2=90-90') })
    client.openStream(0)
    send(client, 1, 'target', 0)
    expect(client.takeWrites().map(({ bytes, shaped }) => [bytes, shaped])).toEqual([[90, true]])
  })

  it('SYNs that wait leave in their order, before any frame of a stream among them', () => {
    const client = makeClient()
    for (let count = 0; count < 3; count += 1) client.openStream(0)
    send(client, 2, 'second', 0)
    send(client, 1, 'first', 0)
    expect(said(client).slice(1)).toEqual([
      SETTINGS,
      'SYN 1',
      'SYN 2',
      'SYN 3',
      'PSH 2 second',
      'PSH 1 first',
    ])
  })

  it('data of another stream does not wait for a SYN, nor the SYN for it', () => {
    const client = openClient()
    client.openStream(0)
    send(client, 1, 'first', 0)
    client.openStream(1)
    send(client, 1, 'more', 1)
    expect(said(client)).toEqual(['SYN 1', 'PSH 1 first', 'PSH 1 more'])
    client.timeout(21)
    expect(said(client)).toEqual(['SYN 2'])
  })

  it('a stream that is reset at once says settings, SYN and FIN', () => {
    const client = makeClient()
    client.openStream(0)
    client.resetStream(1, 0, '', 0)
    expect(said(client)).toEqual(['AUTH 0', SETTINGS, 'SYN 1', 'FIN 1'])
  })

  it('no frame but the PSH has data: anytls-go would lose its place', () => {
    const client = openClient()
    client.openStream(0)
    client.ping(0)
    client.receive(write.ping(9), 0)
    client.resetStream(1, 4, 'a reason that nobody hears', 0)
    const lines = said(client)
    expect(lines.sort()).toEqual(['FIN 1', 'PING 0', 'PONG 9', 'SYN 1'])
  })
})

describe('versions', () => {
  it('version 2 applies once the server settings say so', () => {
    const client = flushedClient()
    expect(client.pingable).toBe(false)
    expect(client.ping(0)).toBe(false)
    expect(told(client.receive(write.serverSettings(), 5))).toEqual(['established '])
    expect(client.current).toBe('open')
    expect(client.pingable).toBe(true)
    client.openStream(5)
    expect(client.timeout(9_000)).toEqual([])
    expect(told(client.receive(write.synack(1), 9_000))).toEqual(['accept 1'])
  })

  it('an unknown later version of the server counts as 2', () => {
    const client = flushedClient()
    client.receive(write.serverSettings('x=y\nv=9\n'), 0)
    expect(client.pingable).toBe(true)
  })

  it('without server settings for the answer time, 1,000 ms by default, the server speaks version 1', () => {
    const client = flushedClient()
    client.openStream(10)
    send(client, 1, 'x', 10)
    expect(client.deadline).toBe(1_000)
    expect(client.timeout(999)).toEqual([])
    expect(told(client.timeout(1_000))).toEqual(['accept 1'])
    expect(client.pingable).toBe(false)
    expect(client.current).toBe('unconfirmed')
  })

  it('the answer time runs from the first flush', () => {
    const client = makeClient({ timeouts: { answer: 300 } }, 0)
    client.openStream(15)
    send(client, 1, 'x', 15)
    expect(client.deadline).toBe(315)
  })

  it('under version 1 a new stream counts as accepted at once: the machine asks to be called for it', () => {
    const client = oldClient()
    client.openStream(500)
    expect(client.deadline).toBe(500)
    expect(told(client.timeout(500))).toEqual(['accept 1'])
    expect(client.deadline).toBe(501)
  })

  it('under version 1 there is no open timer and no heartbeat', () => {
    const client = oldClient()
    client.openStream(0)
    client.timeout(0)
    client.timeout(20)
    expect(client.deadline).toBe(3_600_000)
    expect(client.ping(30)).toBe(false)
  })

  it('server settings that say v=1 are version 1 without waiting', () => {
    const client = flushedClient()
    client.openStream(0)
    expect(told(client.receive(write.serverSettings('v=1'), 5))).toEqual([
      'established ',
      'accept 1',
    ])
    expect(client.pingable).toBe(false)
  })

  it('server settings that come after the answer time still count', () => {
    const client = flushedClient()
    client.openStream(0)
    expect(told(client.timeout(1_000))).toEqual(['accept 1'])
    expect(told(client.receive(write.serverSettings(), 1_500))).toEqual(['established '])
    expect(client.pingable).toBe(true)
    client.openStream(2_000)
    expect(told(client.timeout(11_999))).toEqual([])
    // Stream 1 has been accepted, only the new one waits for an answer.
    expect(told(client.timeout(12_000))).toEqual(['close 2 ERR_STREAM_OPEN_TIMEOUT'])
  })

  it('empty server settings say nothing', () => {
    const client = flushedClient()
    expect(client.receive(write.serverSettings(''), 0)).toEqual([])
    expect(client.current).toBe('unconfirmed')
  })
})

describe('whether the server speaks this wire at all', () => {
  it('only a real frame says so: settings, an answer on a stream, a heartbeat', () => {
    const frames = [
      write.serverSettings(),
      write.synack(1),
      write.push(1, 'x'),
      write.push(1, ''),
      write.fin(1),
      write.synack(1, 'no'),
      write.ping(),
      write.pong(),
    ]
    for (const bytes of frames) {
      const client = flushedClient()
      client.openStream(0)
      expect(told(client.receive(bytes, 0))[0]).toBe('established ')
      expect(told(client.receive(bytes, 0))).not.toContain('established ')
    }
    // Which version it speaks is a matter of its settings alone.
    const [known, unknown] = [flushedClient(), flushedClient()]
    for (const client of [known, unknown]) client.openStream(0)
    known.receive(write.serverSettings(), 0)
    unknown.receive(write.push(1, 'x'), 0)
    expect([known.pingable, unknown.pingable]).toEqual([true, false])
  })

  it('silence, waste and a scheme do not', () => {
    const client = flushedClient()
    client.openStream(0)
    expect(told(client.timeout(1_000))).toEqual(['accept 1'])
    expect(client.receive(write.waste(30), 1_001)).toEqual([])
    expect(told(client.receive(write.scheme('stop=1'), 1_002))[0]).toMatch(/^scheme /)
    expect(client.current).toBe('unconfirmed')
  })

  it('bad input: a server that answers with something else', () => {
    const answers: Record<string, Uint8Array> = {
      'an HTTP response': ascii('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
      'the settings of HTTP/2': fromHex(
        '000012040000000000000300000064000400010000000600010000000004080000000000003fff01',
      ),
      'an SSH banner': ascii('SSH-2.0-OpenSSH_9.6\r\n'),
      'an SMTP greeting': ascii('220 mail.example.com ESMTP\r\n'),
      'frames of a client': write.syn(1),
      'settings of a client': write.settings('v=2'),
      'an unknown command': frame(11, 0),
      'data on a stream that was never opened': write.push(7, 'x'),
      'data on stream 0': write.push(0, 'x'),
      'the end of a stream that was never opened': write.fin(7),
      'an answer on a stream that was never opened': write.synack(7),
    }
    for (const [name, bytes] of Object.entries(answers)) {
      const client = flushedClient()
      client.openStream(0)
      client.takeWrites()
      const events = client.receive(bytes, 0)
      expect(told(events), name).toEqual(['closed ERR_AUTH_REJECTED'])
      expect(messageOf(events), name).toMatch(/did not answer on the original AnyTLS wire/)
      expect(client.takeWrites(), name).toEqual([])
    }
  })

  it('the end of the input before any answer is a refusal without a word, whether streams are open or not', () => {
    for (const streams of [0, 1]) {
      const client = flushedClient()
      if (streams > 0) client.openStream(0)
      const events = client.endOfInput(30)
      expect(told(events)).toEqual(['closed ERR_AUTH_REJECTED'])
      expect(messageOf(events)).toMatch(/wrong password/)
      const [closed] = events
      expect(closed?.type === 'closed' && closed.error?.cause).toMatchObject({
        code: 'ERR_CONNECTION_LOST',
      })
    }
  })

  it('D48: of a server that is taken for one of version 1 the end alone tells nothing', () => {
    const client = flushedClient()
    client.openStream(0)
    client.timeout(1_000)
    expect(told(client.endOfInput(1_001))).toEqual(['closed ERR_CONNECTION_LOST'])
  })

  it('an end behind bytes that mean nothing is a refusal: another attempt would end the same', () => {
    const client = flushedClient()
    expect(client.receive(Uint8Array.of(0, 0), 0)).toEqual([])
    expect(told(client.endOfInput(30))).toEqual(['closed ERR_AUTH_REJECTED'])
  })

  it('before the authentication block has left, any frame is out of place', () => {
    const client = makeClient()
    expect(told(client.receive(write.waste(1), 0))).toEqual(['closed ERR_AUTH_REJECTED'])
  })
})

describe('frames that a server has no business to send, once it is known', () => {
  it('SYN, settings and unknown commands are passed over, with their data', () => {
    const client = openClient()
    client.openStream(0)
    client.takeWrites()
    const bytes = concatBytes([
      write.syn(1, 'x'),
      write.settings('v=2'),
      frame(99, 1, 'data'),
      write.push(1, 'on'),
    ])
    expect(told(client.receive(bytes, 0))).toEqual(['accept 1', 'data 1 on'])
    expect(client.takeWrites()).toEqual([])
  })

  it('frames for a stream that is not there are dropped', () => {
    const client = openClient()
    const bytes = concatBytes([
      write.push(9, 'x'),
      write.fin(9),
      write.synack(9),
      write.synack(9, 'no'),
    ])
    expect(client.receive(bytes, 0)).toEqual([])
    expect(client.takeWrites()).toEqual([])
  })
})

describe('streams', () => {
  it('ids go upward from 1', () => {
    const client = makeClient()
    expect([client.openStream(0), client.openStream(0), client.openStream(1)]).toEqual([1, 2, 3])
    client.resetStream(3, 0, '', 1)
    expect(client.openStream(2)).toBe(4)
  })

  it('after stream id 2^32 - 1 no stream can be opened', () => {
    const client = openClient()
    client.useUpIds(0xffff_fffe)
    expect(client.openStream(0)).toBe(0xffff_ffff)
    client.timeout(20)
    expect(said(client)).toEqual(['SYN 4294967295'])
    expect(client.mayOpen).toBe(false)
    expect(() => client.openStream(20)).toThrow(
      expect.objectContaining({ code: 'ERR_STREAM_LIMIT' }) as Error,
    )
  })

  it('SYNACK, PSH without data and PSH count as acceptance, once', () => {
    for (const first of [write.synack(1), write.push(1, ''), write.push(1, 'x')]) {
      const client = openClient()
      client.openStream(0)
      expect(told(client.receive(first, 0))[0]).toBe('accept 1')
      const more = client.receive(concatBytes([write.synack(1), write.push(1, 'y')]), 0)
      expect(told(more)).toEqual(['data 1 y'])
    }
  })

  it('a SYNACK with text closes the stream: DestinationUnreachable, and the text as the reason', () => {
    const client = openClient()
    client.openStream(0)
    client.openStream(0)
    client.timeout(20)
    client.takeWrites()
    const events = client.receive(write.synack(1, 'dial tcp: connection refused'), 21)
    expect(told(events)).toEqual(['close 1 ERR_STREAM_RESET'])
    expect(closeOf(events)).toMatchObject({ closeCode: 5, reason: 'dial tcp: connection refused' })
    // As the reference does, so that the server can forget the stream too.
    expect(said(client)).toEqual(['FIN 1'])
    expect(told(client.receive(write.push(2, 'on'), 22))).toEqual(['accept 2', 'data 2 on'])
  })

  it('bad input: the text of a SYNACK full of control characters comes out as printable ASCII', () => {
    const client = openClient()
    client.openStream(0)
    const text = fromHex('1b5b324a07000d0a1b5d303b78079bff7fe280ae c285'.replace(' ', ''))
    const reason = closeOf(client.receive(write.synack(1, text), 0))?.reason ?? ''
    expect(reason).toMatch(/^[\x20-\x7e]+$/)
    expect(reason).toContain('?[2J')
  })

  it('a SYNACK of 65,535 bytes leaves a reason of 1,024', () => {
    const client = openClient()
    client.openStream(0)
    const events = client.receive(write.synack(1, new Uint8Array(65_535).fill(0x41)), 0)
    expect(closeOf(events)?.reason.length).toBe(1_024)
  })

  it('a SYNACK with text after the acceptance closes the stream as well', () => {
    const client = openClient()
    client.openStream(0)
    client.receive(write.synack(1), 0)
    expect(told(client.receive(write.synack(1, 'gone'), 0))).toEqual(['close 1 ERR_STREAM_RESET'])
  })

  it('FIN ends both directions and is never answered; data before it is delivered first', () => {
    const client = openClient()
    client.openStream(0)
    send(client, 1, 'x', 0)
    client.takeWrites()
    const events = client.receive(concatBytes([write.push(1, 'answer'), write.fin(1)]), 0)
    expect(told(events)).toEqual(['accept 1', 'data 1 answer', 'close 1'])
    expect(client.takeWrites()).toEqual([])
    expect(client.credit(1)).toBe(0)
  })

  it('FIN before any acceptance is a refusal under version 2 (D7)', () => {
    const client = openClient()
    client.openStream(0)
    expect(told(client.receive(write.fin(1), 0))).toEqual(['close 1 ERR_STREAM_RESET'])
  })

  it('FIN under version 1 is the end of the stream, with data or without', () => {
    const client = oldClient()
    client.openStream(0)
    client.timeout(0)
    expect(told(client.receive(write.fin(1), 0))).toEqual(['close 1'])
  })

  it('end() says nothing: the answer still comes, FIN follows only after a silence', () => {
    const client = openClient({ timeouts: { linger: 500 } })
    client.openStream(0)
    send(client, 1, 'question', 0)
    client.takeWrites()
    client.receive(write.synack(1), 10)
    expect(client.finishStream(1, 20)).toEqual([])
    expect(client.takeWrites()).toEqual([])
    expect(told(client.receive(write.push(1, 'answer'), 100))).toEqual(['data 1 answer'])
    client.timeout(520)
    expect(client.timeout(599)).toEqual([])
    expect(client.takeWrites()).toEqual([])
    expect(told(client.timeout(600))).toEqual(['close 1'])
    expect(said(client)).toEqual(['FIN 1'])
  })

  it('end(), then FIN of the server: nothing need be sent any more', () => {
    const client = openClient()
    client.openStream(0)
    send(client, 1, 'question', 0)
    client.receive(write.synack(1), 0)
    client.takeWrites()
    client.finishStream(1, 0)
    const events = client.receive(concatBytes([write.push(1, 'answer'), write.fin(1)]), 5)
    expect(told(events)).toEqual(['data 1 answer', 'close 1'])
    expect(client.takeWrites()).toEqual([])
  })

  it('end() under version 1 lingers too, though nothing was ever heard', () => {
    const client = oldClient({ timeouts: { linger: 500 } })
    client.openStream(0)
    send(client, 1, 'question', 0)
    client.timeout(0)
    client.finishStream(1, 100)
    expect(client.timeout(599)).toEqual([])
    expect(told(client.timeout(600))).toEqual(['close 1'])
  })

  it('unshaped stream data is passed on as the parts it was given', () => {
    const client = openClient()
    client.openStream(0)
    const data = new Uint8Array(1_000)
    client.sendData(1, [data], 1_000, 0)
    expect(client.takeWrites()[0]?.parts.at(-1)).toBe(data)
    expect(client.flowControlled).toBe(false)
  })
})

describe('padding scheme', () => {
  it('D23: the scheme of the server is handed on for later connections, this one keeps its own', () => {
    const client = openClient({ scheme: parseScheme('stop=9\n2=500-500') })
    const [event] = client.receive(write.scheme('stop=3\n0=40-40\n1=60-90'), 0)
    expect(event?.type === 'scheme' && event.scheme.text).toBe('stop=3\n0=40-40\n1=60-90')
    client.openStream(0)
    send(client, 1, 'x', 0)
    expect(client.takeWrites().map(({ bytes }) => bytes)).toEqual([500])
  })

  it('bad input: a scheme that asks for gigabytes is refused, and the connection goes on', () => {
    const greedy = [
      'stop=4294967295',
      'stop=2\n1=4000000000-4000000000',
      `stop=1000\n${Array.from({ length: 999 }, (_, index) => `${index + 1}=65535-65535`).join('\n')}`,
      `stop=2\n1=${Array(5_000).fill('65535-65535').join(',')}`,
      'no scheme at all',
    ]
    for (const text of greedy) {
      const client = openClient()
      client.openStream(0)
      client.takeWrites()
      const events = client.receive(write.scheme(text.slice(0, 65_535)), 0)
      expect(told(events), text.slice(0, 40)).toEqual([
        expect.stringMatching(/^scheme-refused ERR_SCHEME_/) as string,
      ])
      expect(client.takeWrites()).toEqual([])
      expect(told(client.receive(write.push(1, 'on'), 0))).toEqual(['accept 1', 'data 1 on'])
    }
  })

  it('an empty update says nothing, and of several only the first is read', () => {
    const client = openClient()
    expect(client.receive(write.scheme(''), 0)).toEqual([])
    expect(client.receive(write.scheme('stop=1'), 0).length).toBe(1)
    expect(client.receive(write.scheme('stop=2'), 0)).toEqual([])
  })
})

describe('alerts', () => {
  it('an alert ends the connection with its text, printable ASCII whatever it was', () => {
    for (const client of [flushedClient(), openClient()]) {
      client.openStream(0)
      client.takeWrites()
      const events = client.receive(write.alert('no\x1b[2Jmore\nof you'), 0)
      expect(told(events)).toEqual(['closed ERR_ALERT_RECEIVED'])
      expect(messageOf(events)).toBe('the peer sent an alert: no?[2Jmore of you')
      expect(client.takeWrites()).toEqual([])
    }
  })

  it('an alert without data is ignored, as by anytls-go', () => {
    for (const client of [flushedClient(), openClient()]) {
      const before = client.current
      expect(client.receive(write.alert(''), 0)).toEqual([])
      expect(client.current).toBe(before)
    }
  })
})

describe('the end', () => {
  it('before the authentication block closing says nothing at all', () => {
    for (const end of ['close', 'abort'] as const) {
      const client = makeClient()
      expect(told(end === 'close' ? client.close(0) : client.abort(0, 0))).toEqual(['closed'])
      expect(client.takeWrites()).toEqual([])
      expect(client.deadline).toBe(Infinity)
    }
  })

  it('closing without streams needs no frame: the end of TLS says it', () => {
    for (const client of [openClient(), flushedClient()]) {
      expect(told(client.close(0))).toEqual(['draining', 'closed'])
      expect(client.takeWrites()).toEqual([])
    }
  })

  it('closing lets streams run to their end and opens no others', () => {
    for (const client of [openClient(), flushedClient()]) {
      client.openStream(0)
      expect(told(client.close(0))).toEqual(['draining'])
      expect(client.mayOpen).toBe(false)
      expect(() => client.openStream(0)).toThrow(
        expect.objectContaining({ code: 'ERR_SESSION_DRAINING' }) as Error,
      )
      const events = client.receive(concatBytes([write.synack(1), write.push(1, 'x')]), 1)
      expect(told(events).filter((line) => line !== 'established ')).toEqual([
        'accept 1',
        'data 1 x',
      ])
      expect(told(client.receive(write.fin(1), 2))).toEqual(['close 1', 'closed'])
    }
  })

  it('abort ends at once and says nothing', () => {
    const client = openClient()
    client.openStream(0)
    client.timeout(20)
    client.takeWrites()
    expect(told(client.abort(4, 0))).toEqual(['closed'])
    expect(client.takeWrites()).toEqual([])
    expect(() => client.openStream(0)).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_CLOSED' }) as Error,
    )
  })
})

function messageOf(events: readonly MachineEvent[]): string | undefined {
  const last = events.at(-1)
  return last?.type === 'closed' ? last.error?.message : undefined
}

function closeOf(events: readonly MachineEvent[]): PeerCloseError | undefined {
  const close = events.find(({ type }) => type === 'close')
  return close?.type === 'close' ? (close.error as PeerCloseError) : undefined
}
