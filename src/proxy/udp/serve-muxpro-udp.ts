// The server's side of one Mux.Pro sub-connection over UDP: its datagrams go to one target, and what that
// target sends comes back (D42).
// Must never end a sub-connection for the failure of one datagram.
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'
import { AnyTlsError, ERROR_TEXT } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import { guarded, orAborted } from '../../session/callbacks.ts'
import { MAX_DELAY } from '../../session/clock.ts'
import type { Address } from '../../codec/address.ts'
import { resolve } from '../outbound/outbound.ts'
import { allowedOf, requireAllowed } from '../outbound/policy.ts'
import type { ServeStreamOptions } from '../outbound/serve-target.ts'
import { acceptWith } from '../outbound/serve-target.ts'
import type { TunnelStream } from '../tunnel.ts'
import {
  createSender,
  createUdpSocket,
  noCounts,
  UDP_IDLE_TIMEOUT,
  UDP_MAX_WAITING_BYTES,
} from './udp-socket.ts'
import type { UdpTraffic } from './udp-socket.ts'

/** How long policy and name lookup may take together unless `dial.timeout` says otherwise, in ms. */
const DEFAULT_TIMEOUT = 8_000

/**
 * Serves a stream of datagrams to its end. It is accepted once there is a socket; until then the credit of
 * the sub-connection bounds what waits. A name goes to its first IPv4 address if it has one, as datagrams
 * cannot try one address after the other.
 */
export async function serveMuxProUdp(
  stream: TunnelStream,
  target: Address,
  options: ServeStreamOptions,
): Promise<void> {
  const connect = (signal: AbortSignal) => openSocket(target, options, signal)
  const socket = await acceptWith(stream, target, options, connect)
  if (socket === undefined) return
  await relayDatagrams(stream, socket, options)
}

/** A UDP socket that is connected to `target`, so that the system drops what others send to it. */
async function openSocket(
  target: Address,
  options: ServeStreamOptions,
  signal: AbortSignal,
): Promise<Socket> {
  const { timeout = DEFAULT_TIMEOUT, lookup } = options.dial ?? {}
  const late = new AbortController()
  const limit = Math.min(timeout, MAX_DELAY)
  const timer = setTimeout(() => late.abort(new AnyTlsError('ERR_DIAL_TIMEOUT')), limit)
  const stop = AbortSignal.any([signal, late.signal])
  let socket: Socket | undefined
  try {
    await orAborted(requireAllowed(target, 'udp', options), stop)
    const found = await orAborted(resolve(target.host, lookup), stop)
    const addresses = allowedOf(found, target.port, options.allowAddress)
    const address = addresses.find((candidate) => isIPv4(candidate)) ?? addresses[0]
    // Port 0 is no destination, and Node throws for it.
    if (address === undefined || target.port === 0) throw new AnyTlsError('ERR_DIAL_FAILED')
    socket = createUdpSocket(isIPv4(address) ? 4 : 6)
    const connected = once(socket, 'connect', { signal: stop })
    socket.connect(target.port, address)
    await connected
    return socket
  } catch (cause) {
    socket?.close()
    stop.throwIfAborted()
    if (cause instanceof AnyTlsError) throw cause
    throw new AnyTlsError('ERR_DIAL_FAILED', undefined, { cause })
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves when the stream is over, or was silent for too long. */
function relayDatagrams(
  stream: TunnelStream,
  socket: Socket,
  { udp: { idleTimeout = UDP_IDLE_TIMEOUT } = {}, observe }: ServeStreamOptions,
): Promise<void> {
  const counts = noCounts()
  const traffic: UdpTraffic = { up: 0, down: 0 }
  guarded(() => observe?.({ type: 'udp-open', traffic }))
  return new Promise((done) => {
    let over = false
    const close = (error?: AnyTlsError) => {
      if (over) return
      over = true
      clearTimeout(idle)
      socket.close()
      if (error === undefined) stream.destroy()
      else stream.reset(CloseCode.Timeout, ERROR_TEXT[error.code])
      guarded(() => observe?.({ type: 'udp-closed', counts, traffic, error }))
      done()
    }
    const limit = Math.min(idleTimeout, MAX_DELAY)
    const idle = setTimeout(() => close(new AnyTlsError('ERR_STREAM_TIMEOUT')), limit)
    const send = createSender(counts, 'sent', traffic)

    stream.on('data', (data: Uint8Array) => {
      idle.refresh()
      send(socket, data)
    })
    socket.on('message', (data) => {
      // An empty datagram has no place in a stream.
      if (data.length === 0 || stream.writableLength + data.length > UDP_MAX_WAITING_BYTES) {
        counts.dropped += 1
        return
      }
      idle.refresh()
      counts.received += 1
      traffic.down += data.length
      stream.write(data)
    })
    // The system tells of an earlier datagram that nobody listens there: somebody may, later.
    socket.on('error', () => (counts.failed += 1))
    stream.on('end', () => close())
    stream.on('close', () => close())
    if (stream.destroyed) close()
  })
}
