// What is fuzzed: each decoder of bytes or text from outside, told what nobody would send it.
import assert from 'node:assert/strict'
import { AnyTlsError } from '../../src/errors.ts'
import { decodeAddress } from '../../src/codec/address.ts'
import { readClientHello } from '../../src/codec/client-hello.ts'
import { parseHostPort } from '../../src/codec/host-port.ts'
import { decodeKvBlock } from '../../src/codec/kv-block.ts'
import { decodeProxyProtocol } from '../../src/codec/proxy-protocol.ts'
import { decodeTextBlock } from '../../src/codec/text-block.ts'
import { UdpOverTcpDecoder } from '../../src/codec/udp-over-tcp.ts'
import { decodeVarint } from '../../src/codec/varint.ts'
import { parseCapture } from '../../src/harness/capture/capture-parser.ts'
import { RecordReader } from '../../src/harness/capture/record-reader.ts'
import { ConnectionTable } from '../../src/harness/pcap/capture-from-packets.ts'
import { PacketReader } from '../../src/harness/pcap/packet-reader.ts'
import { parseSimulation } from '../../src/harness/simulate/simulation.ts'
import { parseWorkload } from '../../src/harness/simulate/workload.ts'
import { Socks4Handshake } from '../../src/proxy/inbound/socks4.ts'
import { Socks5Handshake } from '../../src/proxy/inbound/socks5.ts'
import { decodeSocks5Datagram } from '../../src/proxy/udp/socks5-datagram.ts'
import { checkScheme } from '../../src/shaping/scheme-check.ts'
import { parsePeerScheme, parseRawScheme, parseScheme } from '../../src/shaping/scheme.ts'
import { makeFrameDecoder as anyTlsDecoder } from '../../src/wires/anytls/frame-decoder.ts'
import { decodeClientNegoBlock, decodeServerNegoBlock } from '../../src/wires/anytls/nego.ts'
import { makeFrameDecoder as legacyDecoder } from '../../src/wires/legacy/frame-decoder.ts'
import { decodeClientSettings, decodeServerSettings } from '../../src/wires/legacy/settings.ts'
import { makeFrameDecoder as muxProDecoder } from '../../src/wires/muxpro/frame-decoder.ts'
import { makeFrameDecoder as netMuxDecoder } from '../../src/wires/netmux/frame-decoder.ts'

/** Takes bytes and does with them what the package would. */
type Target = (bytes: Uint8Array) => void

interface Decoder {
  push(chunk: Uint8Array): void
  next(): unknown
  keep?(): void
}

const BLACK_HOLE = (): void => {}

/** The same frames come out, and the same error, however the bytes are cut. */
const frames =
  (make: () => Decoder): Target =>
  (bytes) => {
    const whole = framesOf(make(), [bytes])
    const cut = bytes.length > 0 ? bytes[bytes.length >> 1]! % (bytes.length + 1) : 0
    const pieces = framesOf(make(), [bytes.subarray(0, cut), bytes.subarray(cut)])
    assert.deepEqual(pieces, whole)
  }

/** What a decoder made of chunks: frames as text, with the pieces of one body joined, and the code of the error. */
function framesOf(decoder: Decoder, chunks: readonly Uint8Array[]): string {
  let text = ''
  try {
    for (const chunk of chunks) {
      // A chunk is lent: what it becomes later is no business of the decoder's.
      const lent = Uint8Array.from(chunk)
      decoder.push(lent)
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        text += textOf(frame)
      }
      decoder.keep?.()
      lent.fill(0xa5)
    }
  } catch (error) {
    return text + codeOf(error)
  }
  return text
}

/** A frame without its bytes that may come in pieces, which it says nothing to compare. */
function textOf(frame: unknown): string {
  const { type, data } = frame as { readonly type: string; readonly data?: unknown }
  if (data instanceof Uint8Array) return Buffer.from(data).toString('hex')
  return type
}

const text =
  (parse: (text: string) => unknown): Target =>
  (bytes) => {
    parse(Buffer.from(bytes).toString('utf8'))
  }

/** The targets by name. */
export const TARGETS: Readonly<Record<string, Target>> = {
  varint: (bytes) => decodeVarint(bytes),
  address: (bytes) => decodeAddress(bytes),
  'KV block': (bytes) => decodeKvBlock(bytes),
  'TEXT block': (bytes) => decodeTextBlock(bytes),
  'client NEGO': (bytes) => decodeClientNegoBlock(bytes),
  'server NEGO': (bytes) => decodeServerNegoBlock(bytes),
  'PROXY protocol': (bytes) => decodeProxyProtocol(bytes),
  ClientHello: (bytes) => readClientHello(bytes),
  'host and port': text(parseHostPort),
  'UDP over TCP, request': (bytes) => new UdpOverTcpDecoder('request').receive(bytes, BLACK_HOLE),
  'UDP over TCP, addressed': (bytes) => {
    new UdpOverTcpDecoder('addressed').receive(bytes, BLACK_HOLE)
  },
  'SOCKS5 datagram': (bytes) => decodeSocks5Datagram(bytes),
  SOCKS4: (bytes) => new Socks4Handshake(false).receive(bytes),
  SOCKS5: (bytes) => new Socks5Handshake().receive(bytes),
  'ANYTLS v1 frames': frames(anyTlsDecoder),
  'original AnyTLS frames, client': frames(() => legacyDecoder(true)),
  'original AnyTLS frames': frames(() => legacyDecoder(false)),
  'original AnyTLS client settings': (bytes) => decodeClientSettings(bytes),
  'original AnyTLS server settings': (bytes) => decodeServerSettings(bytes),
  'Mux.Pro frames': frames(() => muxProDecoder((stream) => stream % 2 === 1)),
  'net-mux frames': frames(() => netMuxDecoder(65_535)),
  'scheme, of a file': text(parseScheme),
  'scheme, checked': text(checkScheme),
  'scheme, of a peer': (bytes) => parsePeerScheme(bytes),
  'scheme, of the original': (bytes) => parseRawScheme(bytes),
  capture: text(parseCapture),
  simulation: text(parseSimulation),
  workload: text(parseWorkload),
  'TLS records': (bytes) => new RecordReader().push(bytes),
  packets: (bytes) => {
    const table = new ConnectionTable(1_000)
    const reader = new PacketReader((packet) => table.push(packet))
    reader.push(bytes)
    reader.end()
    table.end()
  },
}

/** Runs a target; throws what is not to be: everything but an AnyTlsError. */
export function runTarget(target: Target, bytes: Uint8Array): void {
  try {
    target(bytes)
  } catch (error) {
    codeOf(error)
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof AnyTlsError)) throw error
  return error.code
}
