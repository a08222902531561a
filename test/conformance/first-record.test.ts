// What the first record of a client holds over real TLS, and what a server finds missing in one.
// Must never leave a socket open.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AUTH_PREFIX_LENGTH, matchesAuth } from '../../src/anytls/auth.ts'
import { PASSWORD_HASH_LENGTH } from '../../src/anytls/frame.ts'
import { MemorySchemeStore } from '../../src/shaping/scheme-store.ts'
import { connect } from '../../src/transport/dial.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { describeFrames } from '../support/v1-frames.ts'

/** The frames of the first record that a client of ours sends, which opens a stream at once or not at all. */
async function firstRecord(opensStream: boolean): Promise<string[]> {
  const certificate = await makeTestCertificate()
  const server = createServer(certificate)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const accepted = once(server, 'secureConnection')
  const session = await connect({
    host: '127.0.0.1',
    port,
    password: 'correct horse',
    ca: certificate.cert,
    schemeStore: new MemorySchemeStore(),
  })
  if (opensStream) session.openStream().on('error', () => {})
  const [socket] = (await accepted) as [TLSSocket]
  // A TLSSocket never joins the data of two records into one event.
  const [record] = (await once(socket, 'data')) as [Buffer]
  session.destroy()
  socket.destroy()
  return describeFrames(record).map((frame) => frame.split(' ')[0] ?? '')
}

describe('the first record', () => {
  it('draft, Authentication: it MUST be AUTH and then NEGO', async () => {
    expect(await firstRecord(false)).toEqual(['AUTH', 'NEGO'])
  })

  it('draft, Scheme v0 Phase 1: it SHOULD hold AUTH, NEGO and the OPEN of a stream that is waiting', async () => {
    expect(await firstRecord(true)).toEqual(['AUTH', 'NEGO', 'OPEN'])
  })

  it('draft, Authentication: AUTH MUST be there in full: a byte that is missing is no zero (D14)', () => {
    const hash = new Uint8Array(PASSWORD_HASH_LENGTH)
    const record = new Uint8Array(AUTH_PREFIX_LENGTH)
    expect(matchesAuth(record, hash)).toBe(true)
    for (let length = 0; length < AUTH_PREFIX_LENGTH; length += 1) {
      expect(matchesAuth(record.subarray(0, length), hash), `${length} bytes`).toBe(false)
    }
  })
})
