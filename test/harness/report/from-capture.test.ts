import { once } from 'node:events'
import { connect } from 'node:tls'
import type { ConnectionOptions, TlsOptions } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { startCapture } from '../../support/capture.ts'
import { encodeCaptureLine } from '../../../src/harness/capture/capture-event.ts'
import type { CaptureHeader } from '../../../src/harness/capture/capture-event.ts'
import { parseCapture } from '../../../src/harness/capture/capture-parser.ts'
import type { ParsedCapture } from '../../../src/harness/capture/capture-parser.ts'
import { sourceFromCapture } from '../../../src/harness/report/from-capture.ts'
import { gapsOf } from '../../../src/harness/report/source.ts'
import { startTlsServer } from '../../support/server.ts'

const HOST = '127.0.0.1'
const HEADER: CaptureHeader = {
  ...{ format: 'anytls-capture', version: 1, to: 'a:1', started: '2026-01-01T00:00:00Z' },
}

/** A connection of `direction type bytes` at one ms each. */
function connectionOf(lines: string, reason: 'end' | 'reset' = 'end'): ParsedCapture {
  const records = lines.split(' / ').map((line, index) => {
    const [direction = '', type, bytes] = line.split(' ')
    return { direction: direction as 'up' | 'down', time: index, type: +type!, bytes: +bytes! }
  })
  const close = { time: 99, reason, up: 0, down: 0 }
  const connection = { connection: 1, opened: 0, notTls: [], lost: [], records, close }
  return { header: HEADER, cutOff: false, connections: [connection] }
}

const HANDSHAKE = 'up 22 500 / down 22 127 / down 20 6 / down 23 1000 / up 20 6 / up 23 58'

const sizes = (capture: ParsedCapture, skip?: { up: number; down: number }) => {
  const { runs } = sourceFromCapture('x', capture, skip)
  return runs.map(({ up, down }) => [up.sizes, down.sizes])
}

describe('a capture of TLS 1.3', () => {
  it('gives what records carry: 22 bytes less than on the wire, without the handshake', () => {
    const data = 'down 23 250 / down 23 250 / up 23 122 / down 23 1022 / up 23 23'
    expect(sizes(connectionOf(`${HANDSHAKE} / ${data}`))).toEqual([[[100, 1], [1000]]])
  })

  it('leaves out as many records of the handshake as it is told', () => {
    const data = 'down 23 250 / up 23 122 / down 23 1022'
    const capture = connectionOf(`${HANDSHAKE} / ${data}`)
    expect(sizes(capture, { up: 0, down: 0 })).toEqual([
      [
        [36, 100],
        [978, 228, 1000],
      ],
    ])
    expect(sizes(capture, { up: 1, down: 1 })).toEqual([[[100], [1000]]])
    expect(sizes(capture, { up: 2, down: 0 })).toEqual([[[], [1000]]])
  })

  it('leaves out the alert at the end of a connection that ended in order, and only there', () => {
    const data = 'down 23 1 / down 23 1 / up 23 24 / down 23 50 / up 23 24 / down 23 24'
    expect(sizes(connectionOf(`${HANDSHAKE} / ${data}`))).toEqual([[[2], [28]]])
    expect(sizes(connectionOf(`${HANDSHAKE} / ${data}`, 'reset'))).toEqual([
      [
        [2, 2],
        [28, 2],
      ],
    ])
  })

  it('is not taken for TLS 1.2 after a HelloRetryRequest', () => {
    const retry = 'up 22 500 / down 22 93 / down 20 6 / up 20 6 / up 22 560 / down 22 160'
    const rest = 'down 23 1000 / up 23 58 / up 23 122'
    expect(sizes(connectionOf(`${retry} / ${rest}`))).toEqual([[[100], []]])
  })

  it('counts times from the first record that is left', () => {
    const data = 'down 23 1 / down 23 1 / up 23 122 / down 23 1022 / up 23 122'
    const source = sourceFromCapture('x', connectionOf(`${HANDSHAKE} / ${data}`))
    expect(source.runs[0]?.up.times).toEqual([0, 2])
    expect(source.runs[0]?.down.times).toEqual([1])
    expect(gapsOf(source, 'up')).toEqual([2])
  })

  it.for([
    ['TLS 1.3', {}],
    ['TLS 1.2 with AES-GCM', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }],
    ['TLS 1.3 after a HelloRetryRequest', { ecdhCurve: 'P-384' }],
  ] as const)(
    'of Node itself, over the relay: sizes are those written, with %s',
    async ([, options]) => {
      const writes = { up: [100, 1, 16_384, 2_000], down: [7, 9_000, 300] }
      const text = await captured(options, writes)
      expect(sizes(parseCapture(text))).toEqual([[writes.up, writes.down]])
    },
  )
})

describe('notes on a capture', () => {
  const notes = (capture: ParsedCapture) => sourceFromCapture('x', capture).notes

  it('there are none when nothing was left out', () => {
    expect(notes(connectionOf(`${HANDSHAKE} / up 23 122`))).toEqual([])
  })

  it('tell of connections without data, of old TLS, of other things, and of what is missing', () => {
    const handshake12 = 'up 22 300 / down 22 900 / up 22 80 / up 20 6 / up 22 45 / up 23 129'
    const [old] = connectionOf(handshake12).connections
    const [empty] = connectionOf('up 22 300').connections
    const capture: ParsedCapture = {
      header: HEADER,
      cutOff: true,
      limit: 'records',
      connections: [old!, empty!, { ...empty!, notTls: ['up'] }],
    }
    expect(sizes(capture)).toEqual([[[100], []]])
    expect(notes(capture)).toEqual([
      '2 connections without application data left out.',
      '1 connection with TLS 1.2 or older: 29 bytes a record taken for TLS.',
      '1 connection not TLS, or not to the end: only what was TLS before counts.',
      'The file breaks off: its end is missing.',
      'Recording stopped at the limit of records: the end is missing.',
    ])
  })
})

/** The capture of one connection on which both sides write these sizes, one record each. */
async function captured(
  options: ConnectionOptions & TlsOptions,
  writes: { readonly up: readonly number[]; readonly down: readonly number[] },
): Promise<string> {
  const total = writes.up.reduce((sum, size) => sum + size, 0)
  const { port, certificate } = await startTlsServer(options, (socket) => {
    let got = 0
    socket.on('data', (data: Buffer) => {
      got += data.length
      if (got < total) return
      void writeEach(writes.down, (bytes, done) => socket.write(bytes, done)).then(() =>
        socket.end(),
      )
    })
  })
  let text = encodeCaptureLine(HEADER)
  const capture = await startCapture({
    listen: { host: HOST, port: 0 },
    to: { host: HOST, port },
    sink: {
      write(event) {
        text += encodeCaptureLine(event)
        return undefined
      },
    },
  })
  const client = connect({
    host: HOST,
    port: capture.port,
    ca: certificate.cert,
    servername: 'localhost',
  })
  const ended = once(client.resume(), 'end')
  await once(client, 'secureConnect')
  await writeEach(writes.up, (bytes, done) => client.write(bytes, done))
  await ended
  client.end()
  await capture.stop(5_000)
  return text
}

async function writeEach(
  sizes: readonly number[],
  write: (bytes: Uint8Array, done: () => void) => void,
): Promise<void> {
  for (const size of sizes) await new Promise<void>((done) => write(new Uint8Array(size), done))
}
