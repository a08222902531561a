// SOCKS5 UDP as a program uses it, and what it talks to: an echo and a small DNS server.

import dgram from 'node:dgram'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import dnsPacket from 'dns-packet'
import { whenDone } from '../../e2e/support.ts'
import { readExactly } from '../../proxy/support.ts'
import type { Proxy } from './traffic.ts'

const PATIENCE = 5_000

/** A packet as it comes out of the association. */
interface Packet {
  /** IPv4 address or name that it is from. */
  readonly host: string
  readonly port: number
  readonly data: Buffer
}

/** A UDP association of a SOCKS5 proxy (RFC 1928, section 7). */
export interface Association {
  /** `host` is a name or an IPv4 address. */
  send(host: string, port: number, data: Uint8Array): void
  /** @throws AbortError when none has come within five seconds */
  receive(): Promise<Packet>
  /** Ends it, as a program does, by its TCP connection. */
  close(): void
}

export async function associate({ port }: Proxy): Promise<Association> {
  const control = net.connect({ port, host: '127.0.0.1' })
  control.on('error', () => {})
  await once(control, 'connect')
  control.write(Uint8Array.of(5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0))
  const reply = await readExactly(control, 12)
  if (reply[3] !== 0) throw new Error(`SOCKS5 reply ${reply[3]}`)
  const relay = { host: Array.from(reply.subarray(6, 10)).join('.'), port: reply.readUInt16BE(10) }
  const socket = await bind()
  return {
    send(host, to, data) {
      socket.send(Buffer.concat([header(host, to), data]), relay.port, relay.host)
    },
    async receive() {
      const signal = AbortSignal.timeout(PATIENCE)
      const [message] = (await once(socket, 'message', { signal })) as [Buffer]
      return decodePacket(message)
    },
    close: () => void control.destroy(),
  }
}

/** RSV, FRAG, then the address. */
function header(host: string, port: number): Buffer {
  const name = Buffer.from(host)
  const address = net.isIPv4(host) ? [1, ...host.split('.').map(Number)] : [3, name.length, ...name]
  return Buffer.from([0, 0, 0, ...address, port >> 8, port & 0xff])
}

function decodePacket(message: Buffer): Packet {
  const isName = message[3] === 3
  const host = message.subarray(isName ? 5 : 4, isName ? 5 + message[4]! : 8)
  const end = host.byteOffset - message.byteOffset + host.length
  return {
    host: isName ? String(host) : Array.from(host).join('.'),
    port: message.readUInt16BE(end),
    data: message.subarray(end + 2),
  }
}

async function bind(): Promise<Socket> {
  const socket = dgram.createSocket('udp4')
  whenDone(() => socket.close())
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return socket
}

/** Sends each packet back; resolves with the port. */
export async function startUdpEcho(): Promise<number> {
  const socket = await bind()
  socket.on('message', (data, { port, address }) => socket.send(data, port, address))
  return socket.address().port
}

const ANSWER = '192.0.2.53'

/** Answers every question with one address; resolves with the port. */
export async function startDnsServer(): Promise<number> {
  const socket = await bind()
  socket.on('message', (data, { port, address }) => {
    const { id, questions = [] } = dnsPacket.decode(data)
    const answers = questions.map(({ name }) => ({ type: 'A' as const, name, data: ANSWER }))
    socket.send(dnsPacket.encode({ type: 'response', id, questions, answers }), port, address)
  })
  return socket.address().port
}

/** Asks the DNS server at `host` through the association; whether its answer came. */
export async function asksDns(
  association: Association,
  host: string,
  port: number,
): Promise<boolean> {
  const questions = [{ type: 'A' as const, name: 'example.test' }]
  const answer = association.receive()
  association.send(host, port, dnsPacket.encode({ type: 'query', id: 4_711, questions }))
  const { id, answers } = dnsPacket.decode((await answer).data)
  return id === 4_711 && answers?.some((item) => item.type === 'A' && item.data === ANSWER) === true
}

/** Sends packets of these lengths to the echo one after the other; whether each came back from it. */
export async function echoesPackets(
  association: Association,
  port: number,
  lengths: readonly number[],
): Promise<boolean> {
  for (const length of lengths) {
    const data = Buffer.alloc(length, length)
    const answer = association.receive()
    association.send('127.0.0.1', port, data)
    const packet = await answer
    if (packet.host !== '127.0.0.1' || packet.port !== port || !packet.data.equals(data))
      return false
  }
  return true
}
