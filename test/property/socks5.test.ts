import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { credentialsCheck } from '../../src/proxy/inbound/credentials.ts'
import type { Credentials } from '../../src/proxy/inbound/credentials.ts'
import type { Socks5Event } from '../../src/proxy/inbound/socks5.ts'
import { Socks5Handshake } from '../../src/proxy/inbound/socks5.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { encodeAddress } from '../../src/codec/address.ts'
import { fixture, fromHex } from '../codec/vectors.ts'
import type { Vector } from '../codec/vectors.ts'

type Socks5Vector = Vector & { readonly credentials?: Credentials }
const { valid, invalid } = fixture('socks5') as Record<'valid' | 'invalid', readonly Socks5Vector[]>

const RUNS = { numRuns: 1_000 }
const CREDENTIALS = { username: 'user', password: 'secret' }
/** Events of a handshake: two answers and what ends it, at most four. */
const MOST_EVENTS = 4

const anyBytes = fc.uint8Array({ maxLength: 700 })
const anyCheck = fc.constantFrom(undefined, credentialsCheck(CREDENTIALS))

/** All events for `chunks`, what follows a connect request gathered behind it. */
function run(
  check: ReturnType<typeof credentialsCheck> | undefined,
  chunks: readonly Uint8Array[],
) {
  const handshake = new Socks5Handshake(check)
  const events: Socks5Event[] = []
  let rest: Uint8Array[] | undefined
  for (const chunk of chunks) {
    if (rest) rest.push(chunk)
    for (const event of handshake.receive(chunk)) {
      if (event.type === 'connect') rest = [event.rest]
      events.push(event.type === 'connect' ? { ...event, rest: new Uint8Array(0) } : event)
    }
  }
  return { events, rest: rest && [...concatBytes(rest)] }
}

function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((start, index) => bytes.subarray(start, places[index] ?? bytes.length))
}

describe('SOCKS5 handshake, properties', () => {
  it('any segmentation of the bytes gives the same events and the same rest', () => {
    const vectors = fc.constantFrom(...valid, ...invalid).map(({ hex, credentials }) => ({
      check: credentials && credentialsCheck(credentials),
      bytes: fromHex(hex),
    }))
    const random = fc.record({ check: anyCheck, bytes: anyBytes })
    const cuts = fc.array(fc.nat(), { maxLength: 12 })
    fc.assert(
      fc.property(fc.oneof(vectors, random), cuts, ({ check, bytes }, where) => {
        const whole = run(check, [bytes])
        expect(run(check, split(bytes, where))).toEqual(whole)
        expect(
          run(
            check,
            [...bytes].map((byte) => Uint8Array.of(byte)),
          ),
        ).toEqual(whole)
      }),
      RUNS,
    )
  })

  it('random and mutated bytes give a few events and nothing else', () => {
    const mutated = fc
      .tuple(fc.constantFrom(...valid), fc.nat(), fc.nat(255))
      .map(([{ hex }, at, byte]) => {
        const bytes = fromHex(hex)
        bytes[at % bytes.length] = byte
        return bytes
      })
    fc.assert(
      fc.property(anyCheck, fc.oneof(anyBytes, mutated), (check, bytes) => {
        const { events } = run(check, [bytes])
        expect(events.length).toBeLessThanOrEqual(MOST_EVENTS)
        const last = events.findIndex(({ type }) => type !== 'send')
        expect([-1, events.length - 1]).toContain(last)
      }),
      RUNS,
    )
  })

  it('a handshake is decided within 1,032 bytes, whatever they are', () => {
    // The longest greeting, credentials and request: 257 + 513 + 262 bytes.
    const check = credentialsCheck(CREDENTIALS)
    const long = fc.uint8Array({ minLength: 1_032, maxLength: 1_100 })
    const start = fc.constantFrom('', '05', '050102', '0501020104757365720673656372657405010003ff')
    fc.assert(
      fc.property(start, long, (hex, bytes) => {
        const { events } = run(check, [fromHex(hex), bytes])
        expect(events.at(-1)?.type).not.toBe('send')
        expect(events.length).toBeGreaterThan(0)
      }),
      RUNS,
    )
  })

  it('every target that can be encoded arrives as it was sent', () => {
    const host = fc.oneof(fc.ipV4(), fc.domain())
    fc.assert(
      fc.property(host, fc.nat(65_535), anyBytes, (name, port, rest) => {
        const target = { host: name, port }
        const request = concatBytes([fromHex('050100050100'), encodeAddress(target), rest])
        const result = run(undefined, [request])
        expect(result.events.at(-1)).toMatchObject({ type: 'connect', target })
        expect(result.rest).toEqual([...rest])
      }),
      RUNS,
    )
  })
})
