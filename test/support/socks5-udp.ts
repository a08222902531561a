// A program that sends datagrams through a SOCKS5 proxy, and a forwarder for programs that know no SOCKS.
import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, isIPv6 } from 'node:net'
import type { Socket } from 'node:net'
import { decodeSocks5Datagram, encodeSocks5Datagram } from '../../src/proxy/udp/socks5-datagram.ts'
import type { Socks5Datagram } from '../../src/proxy/udp/socks5-datagram.ts'
import type { Address } from '../../src/codec/address.ts'
import { decodeAddress, encodeAddress } from '../../src/codec/address.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { readExactly } from '../proxy/support.ts'

export interface UdpProgram {
  /** The control connection. */
  readonly control: Socket
  /** Where the proxy takes datagrams. */
  readonly relay: Address
  readonly udp: UdpSocket
  /** Everything that came back, in order. */
  readonly received: readonly Socks5Datagram[]
  send(target: Address, data: Uint8Array | string): void
  /** Sends bytes to the proxy as they are, without a head. */
  sendRaw(bytes: Uint8Array): void
  /** Resolves once `count` datagrams have come back in all. */
  waitFor(count: number): Promise<readonly Socks5Datagram[]>
  close(): void
}

/**
 * Asks the proxy on `port` for an association, with `source` as the address it says it will send from.
 *
 * @throws Error with the reply when it is refused
 */
export async function associate(
  port: number,
  { host = '127.0.0.1', source = { host: '0.0.0.0', port: 0 } } = {},
): Promise<UdpProgram> {
  const control = connect({ port, host, allowHalfOpen: true })
  control.on('error', () => {})
  await once(control, 'connect')
  control.write(Uint8Array.of(5, 1, 0))
  await readExactly(control, 2)
  control.write(concatBytes([Uint8Array.of(5, 3, 0), encodeAddress(source)]))
  const head = await readExactly(control, 4)
  const rest = await readExactly(control, head[3] === 4 ? 18 : 6)
  const relay = decodeAddress(concatBytes([head, rest]), 3)?.address
  if (head[1] !== 0 || relay === undefined) {
    control.destroy()
    throw new Error(`the proxy has answered with reply ${head[1]}`)
  }
  control.resume()
  return startProgram(control, relay, await bindUdp(host))
}

/** A UDP socket on a free port of `host`. */
export async function bindUdp(host = '127.0.0.1'): Promise<UdpSocket> {
  const udp = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  udp.bind(0, host)
  await once(udp, 'listening')
  return udp
}

/** Answers each datagram with itself. */
export async function echoUdp(host = '127.0.0.1'): Promise<UdpSocket> {
  const udp = await bindUdp(host)
  udp.on('message', (data, { address, port }) => udp.send(data, port, address))
  return udp
}

/** A port of loopback for a program without SOCKS: what it sends there goes to `target` and back. */
export async function forwardUdp(
  proxyPort: number,
  target: Address,
): Promise<{ readonly port: number; close(): void }> {
  const program = await associate(proxyPort)
  const local = await bindUdp()
  // Answers do not say which question they belong to: one asker at a time.
  let asker: RemoteInfo | undefined
  local.on('message', (data, from) => {
    asker = from
    program.send(target, data)
  })
  program.udp.on('message', (bytes) => {
    const data = decodeSocks5Datagram(bytes)?.data
    if (asker !== undefined && data !== undefined) local.send(data, asker.port, asker.address)
  })
  return {
    port: local.address().port,
    close: () => {
      local.close()
      program.close()
    },
  }
}

function startProgram(control: Socket, relay: Address, udp: UdpSocket): UdpProgram {
  const received: Socks5Datagram[] = []
  udp.on('message', (bytes) => {
    const datagram = decodeSocks5Datagram(bytes)
    if (datagram !== undefined) received.push(datagram)
  })
  const sendRaw = (bytes: Uint8Array) => udp.send(bytes, relay.port, relay.host)
  return {
    control,
    relay,
    udp,
    received,
    sendRaw,
    send: (address, data) => sendRaw(encodeSocks5Datagram({ address, data: Buffer.from(data) })),
    waitFor: async (count) => {
      while (received.length < count) await once(udp, 'message')
      return received
    },
    close: () => {
      udp.close()
      control.destroy()
    },
  }
}
