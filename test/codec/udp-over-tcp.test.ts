import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import type { Address } from '../../src/codec/address.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import {
  encodeUdpPacket,
  encodeUdpRequest,
  UDP_MAX_LENGTH,
  UdpOverTcpDecoder,
} from '../../src/codec/udp-over-tcp.ts'
import type { UdpOverTcpEvent, UdpOverTcpForm, UdpRequest } from '../../src/codec/udp-over-tcp.ts'
import { embedded, fixture, fromHex, thrownBy, toHex } from './vectors.ts'
import type { Vector } from './vectors.ts'

interface WrittenEvent {
  readonly request?: UdpRequest
  readonly packet?: string
  readonly from?: Address
  readonly misnamed?: true
}
interface UdpVector extends Vector {
  readonly form: UdpOverTcpForm
  readonly events: readonly WrittenEvent[]
}
const { valid, literalNames, invalidNames, invalid, truncated } = fixture('udp-over-tcp') as Record<
  'valid' | 'literalNames' | 'invalidNames' | 'invalid' | 'truncated',
  readonly UdpVector[]
>

/** Events as the fixtures write them. */
function written(event: UdpOverTcpEvent): WrittenEvent {
  if (event.type === 'request') return { request: event.request }
  if (event.type === 'misnamed') return { misnamed: true }
  const { address, data } = event
  return { packet: toHex(data), ...(address && { from: address }) }
}

function decode(form: UdpOverTcpForm, chunks: readonly Uint8Array[], events: WrittenEvent[] = []) {
  const decoder = new UdpOverTcpDecoder(form)
  for (const chunk of chunks) decoder.receive(chunk, (event) => events.push(written(event)))
  return events
}

function encode({ request, packet = '', from }: WrittenEvent): Uint8Array {
  return request ? encodeUdpRequest(request) : encodeUdpPacket(from, fromHex(packet))
}

const eachByte = (bytes: Uint8Array) => [...bytes].map((byte) => Uint8Array.of(byte))

describe('UDP over TCP', () => {
  it('UDP over TCP: every valid vector decodes to its request and datagrams', () => {
    for (const { form, hex, events, name } of [...valid, ...literalNames]) {
      expect(decode(form, [embedded(fromHex(hex))]), name).toEqual(events)
      expect(decode(form, eachByte(fromHex(hex))), `${name}, byte by byte`).toEqual(events)
    }
  })

  it('UDP over TCP: every valid vector is encoded byte for byte', () => {
    for (const { hex, events, name } of valid) {
      expect(toHex(concatBytes(events.map(encode))), name).toBe(hex)
    }
  })

  it('UDP over TCP: what breaks a rule is refused, and what stood before it is delivered', () => {
    for (const { form, hex, events, name } of invalid) {
      for (const chunks of [[fromHex(hex)], eachByte(fromHex(hex))]) {
        const delivered: WrittenEvent[] = []
        const error = thrownBy(() => decode(form, chunks, delivered), name)
        expect(error, name).toBeInstanceOf(AnyTlsError)
        expect(error, name).toHaveProperty('code', 'ERR_DATAGRAM_INVALID')
        expect(delivered, name).toEqual(events)
      }
    }
  })

  it('N62: a datagram whose name is not valid is passed over, and what comes behind it is delivered', () => {
    for (const { form, hex, events, name } of invalidNames) {
      expect(decode(form, [embedded(fromHex(hex))]), name).toEqual(events)
      expect(decode(form, eachByte(fromHex(hex))), `${name}, byte by byte`).toEqual(events)
    }
  })

  it('UDP over TCP: what is cut short anywhere waits', () => {
    for (const { form, hex, events, name } of truncated) {
      expect(decode(form, [fromHex(hex)]), name).toEqual(events)
    }
    for (const { form, hex, events, name } of valid) {
      const bytes = fromHex(hex)
      for (let cut = 0; cut < bytes.length; cut += 1) {
        const part = decode(form, [bytes.subarray(0, cut)])
        expect(part.length, `${name}, ${cut}`).toBeLessThan(events.length)
        expect(events.slice(0, part.length), `${name}, ${cut}`).toEqual(part)
      }
    }
  })

  it('UDP over TCP: a datagram of 65,527 bytes is carried, whole and in pieces, a longer one is not', () => {
    const data = new Uint8Array(UDP_MAX_LENGTH).map((_, index) => index)
    const address = { host: '192.0.2.1', port: 53 }
    const bytes = encodeUdpPacket(address, data)
    expect(bytes).toHaveLength(UDP_MAX_LENGTH + 9)
    const whole = [{ packet: toHex(data), from: address }]
    expect(decode('addressed', [bytes])).toEqual(whole)
    const pieces = [bytes.subarray(0, 8), bytes.subarray(8, 40_000), bytes.subarray(40_000)]
    expect(decode('addressed', pieces)).toEqual(whole)
    const longer = new Uint8Array(UDP_MAX_LENGTH + 1)
    for (const target of [address, undefined]) {
      const error = thrownBy(() => encodeUdpPacket(target, longer), 'too long')
      expect(error).toHaveProperty('code', 'ERR_DATAGRAM_INVALID')
    }
  })

  it('a head that came in pieces is kept as a copy, not as a view of what came with it', () => {
    // Of a Buffer, too, whose slice is a view.
    for (const chunk of [fromHex('00c0000201'), Buffer.from('00c0000201', 'hex')]) {
      const decoder = new UdpOverTcpDecoder('addressed')
      const events: WrittenEvent[] = []
      decoder.receive(chunk, (event) => events.push(written(event)))
      chunk.fill(0xff)
      decoder.receive(fromHex('0035000161'), (event) => events.push(written(event)))
      expect(events).toEqual([{ packet: '61', from: { host: '192.0.2.1', port: 53 } }])
    }
  })

  it('UDP over TCP: the address of a request or datagram that cannot be encoded is refused', () => {
    const bad = { host: 'no spaces', port: 1 }
    const actions = [
      () => encodeUdpPacket(bad, new Uint8Array(0)),
      () => encodeUdpRequest({ isConnect: true, target: bad }),
    ]
    for (const action of actions) {
      expect(thrownBy(action, 'address')).toHaveProperty('code', 'ERR_ADDRESS_INVALID')
    }
  })

  it.each([
    ['request', '02', 'isConnect is 2, neither 0 nor 1'],
    ['request', '0109', 'a datagram has no valid address'],
    ['addressed', '09', 'a datagram has no valid address'],
    ['bare', 'fff8', 'a datagram of 65528 bytes, at most 65527 are possible'],
  ] as const)('UDP over TCP: says what is wrong in a %s: %s', (form, hex, message) => {
    expect(() => decode(form, [fromHex(hex)])).toThrow(
      expect.objectContaining({ code: 'ERR_DATAGRAM_INVALID', message }) as Error,
    )
  })

  it('UDP over TCP: what cannot be an address is the cause of what is refused', () => {
    for (const [form, hex] of [
      ['request', '0109'],
      ['addressed', '09'],
    ] as const) {
      const error = thrownBy(() => decode(form, [fromHex(hex)]), hex)
      expect(error).toHaveProperty('cause.code', 'ERR_ADDRESS_INVALID')
    }
  })

  it('a datagram that is there in one piece is a view of it, and one that is not is a copy', () => {
    const data: Uint8Array[] = []
    const decoder = new UdpOverTcpDecoder('bare')
    const note = (event: UdpOverTcpEvent): void => {
      if (event.type === 'packet') data.push(event.data)
    }
    const chunk = fromHex('000161' + '000262')
    decoder.receive(chunk, note)
    decoder.receive(fromHex('63'), note)
    expect(data[0]!.buffer).toBe(chunk.buffer)
    chunk.fill(0)
    expect(toHex(data[1]!)).toBe('6263')
  })
})
