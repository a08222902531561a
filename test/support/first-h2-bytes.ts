// What an h2 client of Node sends first, without a connection: preface, settings and the headers of a request.
import { once } from 'node:events'
import { connect } from 'node:http2'
import type { OutgoingHttpHeaders } from 'node:http2'
import { Duplex, PassThrough } from 'node:stream'

export async function firstH2Bytes(headers: OutgoingHttpHeaders): Promise<Buffer> {
  const sent = new PassThrough()
  const socket = Duplex.from({ writable: sent, readable: new PassThrough() })
  const session = connect('http://localhost', { createConnection: () => socket })
  session.on('error', () => {})
  session.request(headers).on('error', () => {})
  const chunks: Buffer[] = []
  sent.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(sent, 'data')
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  session.destroy()
  return Buffer.concat(chunks)
}
