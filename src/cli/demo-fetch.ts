// Fetches a page through a SOCKS5 proxy, as the demo's proof that the whole thing works.
// No authentication, no TLS, pages of ordinary size: enough for the demo.

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { encodeAddress } from '../codec/address.ts'
import type { Address } from '../codec/address.ts'

/**
 * The body of `http://target/`, asked for through the proxy.
 *
 * @throws Error in one line when the proxy refuses or the answer is not 200
 */
export async function fetchThroughSocks(
  proxy: Address,
  target: Address,
  signal: AbortSignal,
): Promise<string> {
  const socket = connect({ ...proxy, signal })
  try {
    await once(socket, 'connect', { signal })
    await requestTunnel(socket, target, signal)
    const request = process
      .getBuiltinModule('node:http')
      .get({ ...target, createConnection: () => socket, signal })
    const [response] = (await once(request, 'response', { signal })) as [IncomingMessage]
    if (response.statusCode !== 200)
      throw new Error(`the page came with ${response.statusCode ?? 0}`)
    return await text(response)
  } finally {
    socket.destroy()
  }
}

/** CONNECT without authentication (RFC 1928). */
async function requestTunnel(socket: Socket, target: Address, signal: AbortSignal): Promise<void> {
  socket.write(Uint8Array.of(5, 1, 0))
  const method = await read(socket, 2, signal)
  if (method[1] !== 0) throw new Error('the proxy wants a password')
  socket.write(Uint8Array.of(5, 1, 0, ...encodeAddress(target)))
  const reply = await read(socket, 10, signal)
  if (reply[1] !== 0) throw new Error(`the proxy refused the target (reply ${reply[1] ?? 0})`)
}

async function read(socket: Socket, length: number, signal: AbortSignal): Promise<Uint8Array> {
  for (;;) {
    const bytes = socket.read(length) as Uint8Array | null
    if (bytes !== null && bytes.length === length) return bytes
    if (socket.readableEnded || bytes !== null) throw new Error('the proxy hung up')
    await Promise.race([once(socket, 'readable', { signal }), once(socket, 'end', { signal })])
  }
}
