// Reads the packets of a capture file as it comes in pieces: pcap (microseconds or nanoseconds, either byte order)
// and pcapng (sections, interfaces, enhanced, simple and old packet blocks).

import { AnyTlsError } from '../../errors.ts'
import { isKnownLinkType } from './tcp-segment.ts'

/** A packet as somebody captured it. */
export interface Packet {
  /** In ms since the second in which the file's first packet was captured. */
  readonly time: number
  /** How its bytes begin: one of the numbers of the LINKTYPE registry. */
  readonly linkType: number
  /** A view that holds until the function that is given it returns. */
  readonly bytes: Uint8Array
  /** Bytes of it on the network, of which `bytes` may be only the first. */
  readonly length: number
}

/** Bytes of the largest block or packet that is read: eight times what tcpdump takes at most. */
const MAX_BLOCK_LENGTH = 2 * 1024 * 1024

const NEITHER = 'it is neither pcap nor pcapng'

/** The first four bytes of a pcap file, read in its own byte order, and how many parts its seconds have. */
const PCAP_MAGIC: ReadonlyMap<number, number> = new Map([
  [0xa1b2_c3d4, 1e6],
  [0xa1b2_3c4d, 1e9],
])
const PCAP_HEADER_LENGTH = 24
const PCAP_PACKET_HEAD_LENGTH = 16

/** Seconds around 1970 that a date can have. */
const MAX_SECONDS = 8.64e12

const BLOCK_HEAD_LENGTH = 8
const BYTE_ORDER_MAGIC = 0x1a2b_3c4d
const Block = {
  Section: 0x0a0d_0d0a,
  Interface: 1,
  Packet: 2,
  SimplePacket: 3,
  EnhancedPacket: 6,
} as const
const Option = { End: 0, TimeResolution: 9, TimeOffset: 14 } as const

/** What a section of pcapng says of an interface. */
interface Interface {
  readonly linkType: number
  readonly snapLength: number
  /** Parts of a second that its clock counts. */
  readonly ticks: bigint
  /** Seconds that are added. */
  readonly offset: bigint
}

/** How the bytes at hand begin: the two formats have nothing in common but that. */
export function isPacketFile(bytes: Uint8Array): boolean {
  if (bytes.length < 4) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return (
    view.getUint32(0) === Block.Section ||
    [false, true].some((little) => PCAP_MAGIC.has(view.getUint32(0, little)))
  )
}

/** Reads one file. */
export class PacketReader {
  readonly #take: (packet: Packet) => void
  #bytes: Uint8Array = new Uint8Array(0)
  #view = new DataView(new ArrayBuffer(0))
  /** Where in the file `#bytes` begins. */
  #offset = 0
  #little = false
  /** What comes next; undefined until the first bytes have told the format. */
  #format: 'pcap' | 'pcapng' | undefined
  #linkType = 0
  #ticks = 1e6
  #interfaces: Interface[] = []
  #began: number | undefined
  #lastTime = 0

  /** @param take is given each packet, in the order of the file */
  constructor(take: (packet: Packet) => void) {
    this.#take = take
  }

  /** When the file's first packet was captured, to the second, in s since 1970; undefined before it. */
  get began(): number | undefined {
    return this.#began
  }

  /** @throws AnyTlsError `ERR_CAPTURE_INVALID`, one line that begins with the offset in bytes */
  push(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#bytes.length + bytes.length)
    all.set(this.#bytes)
    all.set(bytes, this.#bytes.length)
    this.#bytes = all
    this.#view = new DataView(all.buffer)
    let at = 0
    for (let used = this.#read(at); used > 0; used = this.#read(at)) at += used
    this.#bytes = all.subarray(at)
    this.#offset += at
  }

  /** No more comes. @throws AnyTlsError `ERR_CAPTURE_INVALID` */
  end(): void {
    if (this.#format === undefined && !isPacketFile(this.#bytes)) throw this.#invalid(0, NEITHER)
    if (this.#bytes.length > 0) throw this.#invalid(0, 'the file ends in the middle of a packet')
  }

  /** Reads what begins at `at`; returns its length, 0 when not all of it is there. */
  #read(at: number): number {
    const rest = this.#bytes.length - at
    if (this.#format === undefined) return rest < 4 ? 0 : this.#readFormat()
    if (this.#format === 'pcap') return rest < PCAP_PACKET_HEAD_LENGTH ? 0 : this.#readPacket(at)
    return rest < BLOCK_HEAD_LENGTH + 4 ? 0 : this.#readBlock(at)
  }

  #readFormat(): number {
    const view = this.#view
    if (!isPacketFile(this.#bytes)) throw this.#invalid(0, NEITHER)
    if (view.getUint32(0) === Block.Section) {
      this.#format = 'pcapng'
      return this.#read(0)
    }
    if (view.byteLength < PCAP_HEADER_LENGTH) return 0
    this.#little = PCAP_MAGIC.has(view.getUint32(0, true))
    this.#ticks = PCAP_MAGIC.get(view.getUint32(0, this.#little)) ?? 1e6
    const version = view.getUint16(4, this.#little)
    if (version !== 2) throw this.#invalid(4, `it is pcap of version ${version}, not 2`)
    // The upper half says whether frames end in a checksum, which the length of IP leaves out anyway.
    this.#linkType = view.getUint32(20, this.#little) & 0xffff
    this.#format = 'pcap'
    return PCAP_HEADER_LENGTH
  }

  #readPacket(at: number): number {
    const field = (index: number) => this.#view.getUint32(at + 4 * index, this.#little)
    const captured = field(2)
    if (captured > MAX_BLOCK_LENGTH) throw this.#tooLong(at, 'packet', captured)
    const used = PCAP_PACKET_HEAD_LENGTH + captured
    if (at + used > this.#bytes.length) return 0
    if (field(1) >= this.#ticks) throw this.#invalid(at, 'the time of the packet is none')
    const start = at + PCAP_PACKET_HEAD_LENGTH
    this.#emit(this.#linkType, start, captured, field(3), field(0), (field(1) * 1e3) / this.#ticks)
    return used
  }

  #readBlock(at: number): number {
    const view = this.#view
    const isSection = view.getUint32(at) === Block.Section
    // The first field of a section's body tells its byte order, and so how to read the length before it.
    if (isSection) this.#little = view.getUint32(at + 8, true) === BYTE_ORDER_MAGIC
    if (isSection && view.getUint32(at + 8, this.#little) !== BYTE_ORDER_MAGIC) {
      throw this.#invalid(at, 'the section has no byte order')
    }
    const length = view.getUint32(at + 4, this.#little)
    if (length % 4 !== 0 || length < BLOCK_HEAD_LENGTH + 4) {
      throw this.#invalid(at, `a block cannot have ${length} bytes`)
    }
    if (length > MAX_BLOCK_LENGTH) throw this.#tooLong(at, 'block', length)
    if (at + length > this.#bytes.length) return 0
    if (view.getUint32(at + length - 4, this.#little) !== length) {
      throw this.#invalid(at, 'the lengths at the two ends of a block differ')
    }
    const body = { start: at + BLOCK_HEAD_LENGTH, end: at + length - 4 }
    switch (isSection ? Block.Section : view.getUint32(at, this.#little)) {
      case Block.Section:
        this.#interfaces = []
        break
      case Block.Interface:
        this.#need(body, 8)
        this.#interfaces.push(this.#readInterface(body))
        break
      case Block.EnhancedPacket:
        this.#need(body, 20)
        this.#readTimed(body, view.getUint32(body.start, this.#little))
        break
      case Block.Packet:
        this.#need(body, 20)
        this.#readTimed(body, view.getUint16(body.start, this.#little))
        break
      case Block.SimplePacket:
        this.#need(body, 4)
        this.#readSimple(body)
        break
    }
    return length
  }

  #readInterface({ start, end }: Body): Interface {
    const view = this.#view
    const little = this.#little
    let [ticks, offset] = [1_000_000n, 0n]
    for (let at = start + 8; at + 4 <= end;) {
      const [code, length] = [view.getUint16(at, little), view.getUint16(at + 2, little)]
      const value = at + 4
      if (code === Option.End) break
      if (value + length > end) throw this.#invalid(at, 'an option is longer than its block')
      if (code === Option.TimeResolution && length >= 1) {
        const power = view.getUint8(value)
        ticks = power < 0x80 ? 10n ** BigInt(power) : 2n ** BigInt(power & 0x7f)
      }
      if (code === Option.TimeOffset && length >= 8) offset = view.getBigInt64(value, little)
      at = value + Math.ceil(length / 4) * 4
    }
    const snapLength = view.getUint32(start + 4, little)
    return { linkType: view.getUint16(start, little), snapLength, ticks, offset }
  }

  /** An enhanced packet block, or the one of before, which counts drops in the half of a field. */
  #readTimed(body: Body, number: number): void {
    const { start } = body
    const field = (index: number) => this.#view.getUint32(start + 4 * index, this.#little)
    const { linkType, ticks, offset } = this.#interface(start, number)
    const count = (BigInt(field(1)) << 32n) | BigInt(field(2))
    const seconds = Number(count / ticks + offset)
    const part = (Number(count % ticks) / Number(ticks)) * 1e3
    this.#need(body, 20 + field(3))
    this.#emit(linkType, start + 20, field(3), field(4), seconds, part)
  }

  /** It has no time: that of the packet before it, which is the only one known. */
  #readSimple({ start, end }: Body): void {
    const { linkType, snapLength } = this.#interface(start, 0)
    const length = this.#view.getUint32(start, this.#little)
    const most = snapLength === 0 ? length : Math.min(length, snapLength)
    const captured = Math.min(most, end - start - 4)
    this.#emit(linkType, start + 4, captured, length, this.#began ?? 0, this.#lastTime)
  }

  #interface(at: number, number: number): Interface {
    const found = this.#interfaces[number]
    if (found !== undefined) return found
    throw this.#invalid(at, `a packet of interface ${number}, which the section does not have`)
  }

  #emit(
    linkType: number,
    start: number,
    captured: number,
    length: number,
    seconds: number,
    part: number,
  ): void {
    if (Math.abs(seconds) > MAX_SECONDS) throw this.#invalid(start, 'the time of a packet is none')
    if (!isKnownLinkType(linkType)) {
      throw this.#invalid(start, `a packet of link type ${linkType}, which is not read`)
    }
    this.#began ??= seconds
    const time = (seconds - this.#began) * 1e3 + part
    this.#lastTime = time
    const bytes = this.#bytes.subarray(start, start + captured)
    this.#take({ time, linkType, bytes, length: Math.max(length, captured) })
  }

  #need({ start, end }: Body, length: number): void {
    if (end - start < length) throw this.#invalid(start, 'a block is shorter than what it holds')
  }

  #tooLong(at: number, what: string, length: number): AnyTlsError {
    return this.#invalid(at, `a ${what} of ${length} bytes, of which there are none so long`)
  }

  #invalid(at: number, text: string): AnyTlsError {
    return new AnyTlsError('ERR_CAPTURE_INVALID', `byte ${this.#offset + at}: ${text}`)
  }
}

/** From where to where the body of a block goes, in the bytes at hand. */
interface Body {
  readonly start: number
  readonly end: number
}
