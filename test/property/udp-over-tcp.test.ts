import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import type { Address } from '../../src/codec/address.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import {
  encodeUdpPacket,
  encodeUdpRequest,
  UdpOverTcpDecoder,
} from '../../src/codec/udp-over-tcp.ts'
import type { UdpOverTcpEvent, UdpOverTcpForm } from '../../src/codec/udp-over-tcp.ts'

const RUNS = { numRuns: 300 }

const anyForm = fc.constantFrom<UdpOverTcpForm>('request', 'addressed', 'bare')
const anyBytes = fc.uint8Array({ maxLength: 2_000 })
const anyAddress: fc.Arbitrary<Address> = fc.record({
  host: fc.oneof(fc.ipV4(), fc.domain()),
  port: fc.nat(65_535),
})
const anyData = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.integer({ min: 65_000, max: 65_527 }).map((length) => new Uint8Array(length).fill(length)),
)
const cuts = fc.array(fc.nat(), { maxLength: 12 })

function split(bytes: Uint8Array, where: readonly number[]): Uint8Array[] {
  const places = where.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b)
  return [0, ...places].map((start, index) => bytes.subarray(start, places[index] ?? bytes.length))
}

/** An event with its data as text, for arrays of 64 KiB are compared slowly. */
function written(event: UdpOverTcpEvent): object {
  if (event.type !== 'packet') return event
  return { address: event.address, data: Buffer.from(event.data).toString('latin1') }
}

/** What `chunks` say, and the code of the error that ended it. */
function decode(form: UdpOverTcpForm, chunks: readonly Uint8Array[]) {
  const events: object[] = []
  const decoder = new UdpOverTcpDecoder(form)
  try {
    for (const chunk of chunks) decoder.receive(chunk, (event) => events.push(written(event)))
  } catch (error) {
    if (!(error instanceof AnyTlsError)) throw error
    return { events, code: error.code }
  }
  return { events, code: undefined }
}

describe('UDP over TCP, properties', () => {
  it('requests and datagrams arrive as they were sent, in any segmentation', () => {
    const anyPackets = fc.array(fc.tuple(anyAddress, anyData), { maxLength: 6 })
    fc.assert(
      fc.property(
        fc.boolean(),
        anyAddress,
        anyPackets,
        cuts,
        (isConnect, target, packets, where) => {
          const expected: Exclude<UdpOverTcpEvent, { type: 'misnamed' }>[] = [
            { type: 'request', request: { isConnect, target } },
            ...packets.map(([address, data]) => ({
              type: 'packet' as const,
              address: isConnect ? undefined : address,
              data,
            })),
          ]
          const bytes = concatBytes(
            expected.map((event) =>
              event.type === 'request'
                ? encodeUdpRequest(event.request)
                : encodeUdpPacket(event.address, event.data),
            ),
          )
          const { events, code } = decode('request', split(bytes, where))
          expect(code).toBeUndefined()
          expect(events).toEqual(expected.map(written))
        },
      ),
      RUNS,
    )
  })

  it('N62: datagrams whose names are not valid are passed over, and no other is lost', () => {
    const anyBadName = fc.oneof(
      fc.constant(new Uint8Array(0)),
      fc
        .tuple(
          fc.uint8Array({ maxLength: 254 }),
          fc.nat(),
          fc.oneof(fc.nat(0x20), fc.integer({ min: 0x7f, max: 0xff })),
        )
        .map(([name, place, code]) => {
          const at = place % (name.length + 1)
          return Uint8Array.of(...name.subarray(0, at), code, ...name.subarray(at))
        }),
    )
    const anyItem = fc.tuple(fc.option(anyBadName), anyAddress, anyData)
    fc.assert(
      fc.property(fc.array(anyItem, { maxLength: 6 }), cuts, (items, where) => {
        const bytes = items.map(([badName, address, data]) => {
          if (badName === null) return encodeUdpPacket(address, data)
          const head = Uint8Array.of(2, badName.length, ...badName, 0, 53)
          return concatBytes([head, encodeUdpPacket(undefined, data)])
        })
        const expected = items.map(([badName, address, data]) =>
          written(badName === null ? { type: 'packet', address, data } : { type: 'misnamed' }),
        )
        const result = decode('addressed', split(concatBytes(bytes), where))
        expect(result).toEqual({ events: expected, code: undefined })
      }),
      RUNS,
    )
  })

  it('random bytes give the same in any segmentation, and no error but the one of the codec', () => {
    fc.assert(
      fc.property(anyForm, anyBytes, cuts, (form, bytes, where) => {
        const whole = decode(form, [bytes])
        expect([undefined, 'ERR_DATAGRAM_INVALID']).toContain(whole.code)
        expect(decode(form, split(bytes, where))).toEqual(whole)
        const single = [...bytes].map((byte) => Uint8Array.of(byte))
        expect(decode(form, single)).toEqual(whole)
      }),
      RUNS,
    )
  })
})
