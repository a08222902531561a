// Makes capture files: TLS dialogues cut into TCP segments, which are lost, repeated and reordered, in packets of
// every kind that is read, in either format.
import type { RandomInt } from '../../../src/shaping/shaper.ts'

/** What one side sends at once. */
export interface Turn {
  readonly direction: 'up' | 'down'
  readonly bytes: Uint8Array
}

export interface Segment {
  readonly direction: 'up' | 'down'
  /** Relative to the first byte; -1 for SYN. */
  readonly offset: number
  readonly flags: number
  readonly data: Uint8Array
  readonly acknowledged: number
}

export const Flag = { Fin: 1, Syn: 2, Reset: 4, Ack: 16 } as const

/** A record whose body looks like heads itself. */
export function record(type: number, body: number): Uint8Array {
  const bytes = new Uint8Array(5 + body).fill(23)
  bytes.set([type, 3, 3, body >> 8, body & 255])
  return bytes
}

/** The segments of a connection in the order in which they were sent, of at most `most` bytes. */
export function segmentsOf(turns: readonly Turn[], random: RandomInt, most = 1400): Segment[] {
  const sent = { up: 0, down: 0 }
  const none = new Uint8Array(0)
  const segments: Segment[] = [
    { direction: 'up', offset: -1, flags: Flag.Syn, data: none, acknowledged: 0 },
    { direction: 'down', offset: -1, flags: Flag.Syn | Flag.Ack, data: none, acknowledged: 0 },
    { direction: 'up', offset: 0, flags: Flag.Ack, data: none, acknowledged: 0 },
  ]
  for (const { direction, bytes } of turns) {
    for (let at = 0; at < bytes.length;) {
      const data = bytes.subarray(at, at + random(1, most + 1))
      const acknowledged = sent[direction === 'up' ? 'down' : 'up']
      segments.push({ direction, offset: sent[direction], flags: Flag.Ack, data, acknowledged })
      sent[direction] += data.length
      at += data.length
    }
  }
  for (const direction of ['up', 'down'] as const) {
    const acknowledged = sent[direction === 'up' ? 'down' : 'up']
    segments.push({
      ...{ direction, offset: sent[direction], flags: Flag.Fin | Flag.Ack, data: none },
      acknowledged,
    })
  }
  return segments
}

/**
 * Repeats, overlaps and reorders: what is seen where a network loses packets, and nothing is missing in the end.
 * Nobody acknowledges what has not come, so that an answer never overtakes its question.
 */
export function disturbed(segments: readonly Segment[], random: RandomInt): Segment[] {
  const result: Segment[] = segments.slice(0, 3)
  const late: { at: number; segment: Segment }[] = []
  const release = (isDue: (segment: Segment, at: number) => boolean): void => {
    for (const [place, { at, segment }] of [...late.entries()].reverse()) {
      if (!isDue(segment, at)) continue
      result.push(segment)
      late.splice(place, 1)
    }
  }
  for (const [index, segment] of segments.slice(3).entries()) {
    release((one) => one.direction !== segment.direction && segment.acknowledged > one.offset)
    const chance = segment.data.length === 0 ? 9 : random(0, 10)
    if (chance === 0) late.push({ at: index + random(1, 8), segment })
    else result.push(segment)
    if (chance === 1) result.push(segment)
    if (chance === 2 && segment.offset > 0) {
      // A retransmission that begins before and ends within, as after a change of the segment size.
      const cut = random(0, segment.data.length)
      result.push({ ...segment, data: segment.data.subarray(0, cut) })
    }
    release((_, at) => at <= index || index === segments.length - 4)
  }
  return result
}

export const LINKS = ['ethernet', 'vlan', 'cooked', 'cooked2', 'loopback', 'raw'] as const
type Link = (typeof LINKS)[number]
const LINK_TYPES: Readonly<Record<Link, number>> = {
  ...{ ethernet: 1, vlan: 1, cooked: 113, cooked2: 276, loopback: 0, raw: 101 },
}

export interface PacketOptions {
  readonly link: Link
  readonly v6: boolean
  readonly clientPort: number
  readonly initial: { readonly up: number; readonly down: number }
}

export function packetOf(segment: Segment, options: PacketOptions): Uint8Array {
  const { link, v6 } = options
  const ip = v6 ? ipV6(segment, options) : ipV4(segment, options)
  const type = v6 ? [0x86, 0xdd] : [0x08, 0x00]
  const mac = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]
  const head: Readonly<Record<Link, readonly number[]>> = {
    ethernet: [...mac, ...type],
    vlan: [...mac, 0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, ...type],
    cooked: [0, 0, 0, 1, 0, 6, ...mac.slice(0, 6), 0, 0, ...type],
    cooked2: [...type, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, ...mac.slice(0, 6), 0, 0],
    loopback: [v6 ? 24 : 2, 0, 0, 0],
    raw: [],
  }
  // Ethernet fills short frames up.
  const packet = Buffer.concat([Uint8Array.from(head[link]), ip])
  return link === 'ethernet' && packet.length < 60
    ? Buffer.concat([packet, Buffer.alloc(60 - packet.length)])
    : packet
}

const SERVER_PORT = 443

function tcp(segment: Segment, { clientPort, initial }: PacketOptions): Uint8Array {
  const { direction, offset, flags, data, acknowledged } = segment
  const isUp = direction === 'up'
  const bytes = Buffer.alloc(32 + data.length)
  bytes.writeUInt16BE(isUp ? clientPort : SERVER_PORT, 0)
  bytes.writeUInt16BE(isUp ? SERVER_PORT : clientPort, 2)
  bytes.writeUInt32BE((initial[direction] + 1 + offset) >>> 0, 4)
  if ((flags & Flag.Ack) !== 0) {
    bytes.writeUInt32BE((initial[isUp ? 'down' : 'up'] + 1 + acknowledged) >>> 0, 8)
  }
  bytes.writeUInt8(8 << 4, 12)
  bytes.writeUInt8(flags, 13)
  bytes.writeUInt16BE(65_535, 14)
  bytes.fill(1, 20, 32)
  bytes.set(data, 32)
  return bytes
}

function ipV4(segment: Segment, options: PacketOptions): Uint8Array {
  const payload = tcp(segment, options)
  const head = Buffer.alloc(20)
  head.writeUInt8(0x45, 0)
  head.writeUInt16BE(20 + payload.length, 2)
  head.writeUInt16BE(0x4000, 6)
  head.set([64, 6], 8)
  const [client, server] = [
    [192, 0, 2, 1],
    [192, 0, 2, 2],
  ] as const
  head.set(segment.direction === 'up' ? client : server, 12)
  head.set(segment.direction === 'up' ? server : client, 16)
  return Buffer.concat([head, payload])
}

/** With a hop-by-hop header and destination options in front of TCP. */
function ipV6(segment: Segment, options: PacketOptions): Uint8Array {
  const payload = tcp(segment, options)
  const extensions = Uint8Array.from([60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0])
  const head = Buffer.alloc(40)
  head.writeUInt8(0x60, 0)
  head.writeUInt16BE(extensions.length + payload.length, 4)
  head.set([0, 64], 6)
  const address = (last: number) => [0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), last]
  const isUp = segment.direction === 'up'
  head.set(address(isUp ? 1 : 2), 8)
  head.set(address(isUp ? 2 : 1), 24)
  return Buffer.concat([head, extensions, payload])
}

export interface FileOptions {
  readonly link: Link
  readonly little: boolean
  readonly nano: boolean
  /** Bytes of a packet that are kept. */
  readonly snap?: number
}

/** When packet `index` was captured: 1.5 ms after the one before it. */
const START_SECONDS = 1_700_000_000
const timeOf = (index: number) => index * 1.5

function writer(little: boolean) {
  return (bits: 16 | 32, ...values: readonly number[]): Buffer => {
    const bytes = Buffer.alloc((bits / 8) * values.length)
    for (const [index, value] of values.entries()) {
      if (bits === 16 && little) bytes.writeUInt16LE(value, index * 2)
      else if (bits === 16) bytes.writeUInt16BE(value, index * 2)
      else if (little) bytes.writeUInt32LE(value >>> 0, index * 4)
      else bytes.writeUInt32BE(value >>> 0, index * 4)
    }
    return bytes
  }
}

export function pcapFile(packets: readonly Uint8Array[], options: FileOptions): Buffer {
  const { link, little, nano, snap = 262_144 } = options
  const put = writer(little)
  const parts = [
    put(32, nano ? 0xa1b23c4d : 0xa1b2c3d4),
    ...[put(16, 2, 4), put(32, 0, 0, snap, LINK_TYPES[link])],
  ]
  for (const [index, packet] of packets.entries()) {
    const ms = timeOf(index)
    const seconds = START_SECONDS + Math.floor(ms / 1e3)
    const part = Math.round((ms % 1e3) * (nano ? 1e6 : 1e3))
    const kept = packet.subarray(0, snap)
    parts.push(put(32, seconds, part, kept.length, packet.length), Buffer.from(kept))
  }
  return Buffer.concat(parts)
}

/** With an interface before the packets' own, a block of names and one of no known type. */
export function pcapngFile(packets: readonly Uint8Array[], options: FileOptions): Buffer {
  const { link, little, nano, snap = 262_144 } = options
  const put = writer(little)
  const block = (type: number, ...body: readonly Uint8Array[]): Buffer => {
    const bytes = Buffer.concat(body)
    const padding = Buffer.alloc((4 - (bytes.length % 4)) % 4)
    const length = 12 + bytes.length + padding.length
    return Buffer.concat([put(32, type, length), bytes, padding, put(32, length)])
  }
  const resolution = Buffer.concat([
    put(16, 9, 1),
    Uint8Array.of(nano ? 9 : 6, 0, 0, 0),
    put(16, 0, 0),
  ])
  const blocks = [
    block(0x0a0d0d0a, put(32, 0x1a2b3c4d), put(16, 1, 0), put(32, 0xffff_ffff, 0xffff_ffff)),
    block(1, put(16, 147, 0), put(32, 0)),
    block(1, put(16, LINK_TYPES[link], 0), put(32, snap), resolution),
    block(4, put(16, 0, 0)),
    block(0x0bad, put(32, 1, 2, 3)),
  ]
  for (const [index, packet] of packets.entries()) {
    const count =
      BigInt(START_SECONDS) * (nano ? 1_000_000_000n : 1_000_000n) +
      BigInt(Math.round(timeOf(index) * (nano ? 1e6 : 1e3)))
    const kept = packet.subarray(0, snap)
    const [high, low] = [Number(count >> 32n), Number(count & 0xffff_ffffn)]
    blocks.push(block(6, put(32, 1, high, low, kept.length, packet.length), kept))
  }
  return Buffer.concat(blocks)
}
