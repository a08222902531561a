import { isIPv4, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnyTlsError, BlockError } from '../../src/errors.ts'
import {
  ADDRESS_MAX_LENGTH,
  ByteQueue,
  decodeAddress,
  decodeKvBlock,
  decodeTextBlock,
  decodeVarint,
  encodeAddress,
  encodeKvBlock,
  encodeTextBlock,
  encodeVarint,
  formatHostPort,
  formatIPv4,
  formatIPv6,
  parseHostPort,
  parseIPv4,
  parseIPv6,
  readVarint,
  toTextBlock,
  varintLength,
  varintLengthFrom,
  VARINT_MAX,
  writeVarint,
} from '../../src/codec.ts'
import type { Address, KvBlock } from '../../src/codec.ts'
import { mutated } from '../support/v1-arbitraries.ts'

const RUNS = { numRuns: 2_000 }

const anyBytes = fc.uint8Array({ maxLength: 300 })
const anyText = fc.string({ unit: 'binary', maxLength: 60 })

/** Text of the given characters. */
const textOf = (characters: string, limits: fc.StringConstraints) =>
  fc.string({ ...limits, unit: fc.constantFrom(...Array.from(characters)) })

const printable = Array.from({ length: 0x7e - 0x20 }, (_, index) =>
  String.fromCharCode(0x21 + index),
).join('')
const keys = textOf(printable.replace(/[=,]/g, ''), { minLength: 1, maxLength: 12 })
const values = textOf(printable.replace(',', ''), { minLength: 1, maxLength: 12 })
const kvEntries = fc.uniqueArray(fc.tuple(keys, fc.array(values, { minLength: 1, maxLength: 4 })), {
  minLength: 1,
  maxLength: 8,
  selector: ([key]) => key,
})

/** Bytes of which half mean something to one of the codecs. */
const CODEC_BYTES = fc.oneof(
  fc.nat(255),
  fc.constantFrom(...Buffer.from('=,\n\r \0\x01\x03\x04\x7f')),
)

/** The error of `action` if it is of the class given, `undefined` if there is none; others pass through. */
function errorOf<E extends Error>(
  action: () => unknown,
  type: new (...args: never[]) => E,
): E | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    if (error instanceof type) return error
    throw error
  }
}

describe('varint', () => {
  const value = fc.oneof(
    fc.bigInt({ min: 0n, max: VARINT_MAX }),
    fc.nat({ max: 62 }).map((bits) => (1n << BigInt(bits)) - 1n),
    fc.nat({ max: 61 }).map((bits) => 1n << BigInt(bits)),
  )

  it('the whole 62-bit range round-trips, in the fewest bytes and in every longer form', () => {
    fc.assert(
      fc.property(value, (expected) => {
        const minimal = encodeVarint(expected).length
        for (const length of [1, 2, 4, 8] as const) {
          const encode = () => encodeVarint(expected, length)
          if (length < minimal) {
            expect(errorOf(encode, AnyTlsError)?.code).toBe('ERR_VARINT_RANGE')
          } else {
            expect(decodeVarint(encode())).toEqual({ value: expected, length })
          }
        }
      }),
      RUNS,
    )
  })

  it('numbers and bigints are written as the same bytes, and nothing beside them', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat({ max: 20 }), (number, offset) => {
        const target = new Uint8Array(32).fill(0xa5)
        const end = writeVarint(target, offset, number)
        expect(end - offset).toBe(varintLength(number))
        expect(target.subarray(offset, end)).toEqual(encodeVarint(BigInt(number)))
        expect(readVarint(target, offset)).toBe(number)
        const outside = [...target.subarray(0, offset), ...target.subarray(end)]
        expect(outside.every((byte) => byte === 0xa5)).toBe(true)
      }),
      RUNS,
    )
  })

  it('any bytes are an integer or too few', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), fc.nat({ max: 12 }), (bytes, offset) => {
        const decoded = decodeVarint(bytes, offset)
        const first = bytes[offset]
        const enough = first !== undefined && offset + varintLengthFrom(first) <= bytes.length
        expect(decoded !== undefined).toBe(enough)
        if (decoded === undefined) return
        const { value: result, length } = decoded
        expect(encodeVarint(result, length)).toEqual(bytes.slice(offset, offset + length))
        const exact = result <= BigInt(Number.MAX_SAFE_INTEGER)
        expect(readVarint(bytes, offset)).toBe(exact ? Number(result) : Infinity)
      }),
      RUNS,
    )
  })
})

describe('KV block', () => {
  /** Entries that are encoded to the same bytes again, or a BlockError whose offset is exact. */
  function checkDecoding(bytes: Uint8Array): void {
    let block: KvBlock | undefined
    const error = errorOf(() => (block = decodeKvBlock(bytes)), BlockError)
    if (block !== undefined) expect(encodeKvBlock(block)).toEqual(bytes)
    if (error === undefined) return
    expect(error.offset).toBeLessThanOrEqual(bytes.length)
    // What stands before the offset is in order, but for its end.
    const before = errorOf(() => decodeKvBlock(bytes.subarray(0, error.offset)), BlockError)
    expect([undefined, 'kv-missing-lf', 'kv-empty-block']).toContain(before?.rule)
  }

  it('entries round-trip in order', () => {
    fc.assert(
      fc.property(kvEntries, (entries) => {
        expect([...decodeKvBlock(encodeKvBlock(entries))]).toEqual(entries)
      }),
      RUNS,
    )
  })

  it('any entries are refused or round-trip: no block is emitted that reads otherwise', () => {
    const token = fc.oneof(values, anyText, textOf('ab=,\n\r \x7f\u00e9', { maxLength: 4 }))
    const entries = fc.array(fc.tuple(token, fc.array(token, { maxLength: 3 })), { maxLength: 4 })
    fc.assert(
      fc.property(entries, (given) => {
        let block: Uint8Array | undefined
        const error = errorOf(() => (block = encodeKvBlock(given)), BlockError)
        if (block !== undefined) expect([...decodeKvBlock(block)]).toEqual(given)
        else expect(error).toBeInstanceOf(BlockError)
      }),
      RUNS,
    )
  })

  it('random bytes give entries or a BlockError at the exact byte', () => {
    const nearText = fc
      .array(fc.constantFrom(...Buffer.from('ab==,\n\n\r \x7f\xc3\xa9', 'latin1')), {
        maxLength: 20,
      })
      .map((bytes) => Uint8Array.from(bytes))
    fc.assert(fc.property(fc.oneof(anyBytes, nearText), checkDecoding), RUNS)
  })

  it('mutated blocks give entries or a BlockError at the exact byte', () => {
    fc.assert(fc.property(mutated(kvEntries.map(encodeKvBlock), CODEC_BYTES), checkDecoding), RUNS)
  })
})

describe('TEXT block', () => {
  const text = textOf(`${printable} \n`, { maxLength: 100 })

  /** A text that is encoded to the same bytes again, or a BlockError at the first forbidden byte. */
  function checkDecoding(bytes: Uint8Array): void {
    const forbidden = bytes.findIndex((byte) => byte !== 0x0a && (byte < 0x20 || byte > 0x7e))
    let text: string | undefined
    const error = errorOf(() => (text = decodeTextBlock(bytes)), BlockError)
    if (text !== undefined) expect(encodeTextBlock(text)).toEqual(bytes)
    expect(error?.offset ?? -1).toBe(forbidden)
  }

  it('text round-trips', () => {
    fc.assert(
      fc.property(text, (given) => {
        expect(decodeTextBlock(encodeTextBlock(given))).toBe(given)
      }),
      RUNS,
    )
  })

  it('random and mutated bytes give a text or a BlockError at the exact byte', () => {
    fc.assert(fc.property(anyBytes, checkDecoding), RUNS)
    fc.assert(fc.property(mutated(text.map(encodeTextBlock), CODEC_BYTES), checkDecoding), RUNS)
  })

  it('toTextBlock gives one permitted character for each character, up to the limit', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, text), fc.nat({ max: 80 }), (given, maxBytes) => {
        const expected = Array.from(given)
          .map((character) => (/^[\n\x20-\x7e]$/.test(character) ? character : '?'))
          .slice(0, maxBytes)
        expect(decodeTextBlock(toTextBlock(given, maxBytes))).toBe(expected.join(''))
      }),
      RUNS,
    )
  })
})

describe('IP text', () => {
  const ipv6Like = fc
    .array(fc.constantFrom('0', '1', 'ffff', 'aB', '00000', ':', '::', ':', '1.2.3.4', '.', 'g'), {
      maxLength: 18,
    })
    .map((parts) => parts.join(''))
  const ipv4Like = fc
    .array(fc.oneof(fc.nat(300).map(String), fc.constantFrom('00', '01', '', ' 1', 'a')), {
      minLength: 3,
      maxLength: 5,
    })
    .map((parts) => parts.join('.'))
  const lessZeros = fc
    .array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
    .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >>> 8, group & 0xff])))
  const sixteen = fc.oneof(lessZeros, fc.uint8Array({ minLength: 16, maxLength: 16 }))

  it('the same texts are IPv4 and IPv6 here and in node:net', () => {
    fc.assert(
      fc.property(fc.oneof(ipv4Like, ipv6Like, fc.ipV4(), fc.ipV6(), anyText), (text) => {
        expect(parseIPv4(text) !== undefined).toBe(isIPv4(text))
        expect(parseIPv6(text) !== undefined).toBe(isIPv6(text) && !text.includes('%'))
      }),
      { numRuns: 10_000 },
    )
  })

  it('bytes round-trip through text', () => {
    fc.assert(
      fc.property(sixteen, (bytes) => {
        expect(parseIPv6(formatIPv6(bytes))).toEqual(bytes)
        const four = bytes.slice(0, 4)
        expect(parseIPv4(formatIPv4(four))).toEqual(four)
      }),
      RUNS,
    )
  })

  it('RFC 5952: the text is the one that a URL has, IPv4-mapped addresses aside', () => {
    fc.assert(
      fc.property(sixteen, (bytes) => {
        const full = Buffer.from(bytes)
          .toString('hex')
          .replace(/.{4}(?=.)/g, '$&:')
        const text = formatIPv6(bytes)
        if (!text.includes('.')) expect(`[${text}]`).toBe(new URL(`http://[${full}]/`).hostname)
      }),
      RUNS,
    )
  })
})

describe('SOCKS address', () => {
  const name = textOf(printable, { minLength: 1, maxLength: 255 }).filter(
    (host) => parseIPv4(host) === undefined && parseIPv6(host) === undefined,
  )
  const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(formatIPv6)
  const address = fc.record({
    host: fc.oneof(name, fc.ipV4(), ipv6),
    port: fc.nat({ max: 0xffff }),
  })

  it('addresses round-trip between other bytes, and every shorter part asks for more', () => {
    fc.assert(
      fc.property(address, anyBytes, (given, around) => {
        const encoded = encodeAddress(given)
        expect(encoded.length).toBeLessThanOrEqual(ADDRESS_MAX_LENGTH)
        const bytes = Uint8Array.of(...around, ...encoded, ...around)
        const expected = { address: given, length: encoded.length }
        expect(decodeAddress(bytes, around.length)).toEqual(expected)
        for (let length = 0; length < encoded.length; length += 1) {
          expect(decodeAddress(encoded.subarray(0, length))).toBeUndefined()
        }
      }),
      { numRuns: 300 },
    )
  })

  it('random and mutated bytes give an address, ask for more or give ERR_ADDRESS_INVALID', () => {
    const typed = fc
      .tuple(fc.constantFrom(1, 3, 4, 0, 2), anyBytes)
      .map(([type, rest]) => Uint8Array.of(type, ...rest))
    fc.assert(
      fc.property(
        fc.oneof(anyBytes, typed, mutated(address.map(encodeAddress), CODEC_BYTES)),
        (bytes) => {
          const decoding = errorOf(() => {
            const decoded = decodeAddress(bytes)
            if (decoded === undefined) expect(bytes.length).toBeLessThan(ADDRESS_MAX_LENGTH)
            else expect(decoded.address.host).toMatch(/^[\x21-\x7e]{1,255}$/)
          }, AnyTlsError)
          if (decoding !== undefined) expect(decoding.code).toBe('ERR_ADDRESS_INVALID')
        },
      ),
      RUNS,
    )
  })
})

describe('host:port', () => {
  it('what is parsed is written and parsed as the same', () => {
    const host = fc.oneof(
      fc.domain(),
      fc.ipV4(),
      fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => formatIPv6(bytes)),
    )
    fc.assert(
      fc.property(host, fc.nat({ max: 0xffff }), (given, port) => {
        const address = { host: given, port }
        expect(parseHostPort(formatHostPort(address))).toEqual(address)
      }),
      RUNS,
    )
  })

  it('any text gives an address that can be encoded, or ERR_ADDRESS_INVALID in one line', () => {
    const near = textOf('ab1.:[]%-', { maxLength: 12 })
    fc.assert(
      fc.property(fc.oneof(anyText, near), fc.boolean(), (text, hasDefault) => {
        let address: Address | undefined
        const parse = () => (address = parseHostPort(text, hasDefault ? 443 : undefined))
        const error = errorOf(parse, AnyTlsError)
        if (address !== undefined) encodeAddress(address)
        if (error === undefined) return
        expect(error.code).toBe('ERR_ADDRESS_INVALID')
        expect(error.message).toMatch(/^[\x20-\x7e]{1,600}$/)
      }),
      RUNS,
    )
  })
})

describe('ByteQueue', () => {
  type Step = { push: number } | { take: number } | 'clear'
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 12, arbitrary: fc.record({ push: fc.nat({ max: 6 }) }) },
    { weight: 8, arbitrary: fc.record({ take: fc.nat({ max: 12 }) }) },
    { weight: 1, arbitrary: fc.constant<Step>('clear') },
  )
  // A long queue at the start, so that the front is moved down on the way.
  const filling = fc.nat({ max: 200 }).map((count) => Array<Step>(count).fill({ push: 1 }))
  const steps = fc
    .tuple(filling, fc.array(step, { maxLength: 300, size: 'max' }))
    .map(([first, rest]) => [...first, ...rest])

  it('behaves like a plain list of bytes and never copies', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const queue = new ByteQueue()
        let expected: number[] = []
        let counter = 0
        const buffers = new Set<ArrayBufferLike>()
        for (const action of list) {
          if (action === 'clear') {
            queue.clear()
            expected = []
          } else if ('push' in action) {
            const view = Uint8Array.from({ length: action.push }, () => counter++ & 0xff)
            buffers.add(view.buffer)
            queue.push(view)
            expected.push(...view)
          } else {
            const views = queue.take(action.take)
            expect(views.flatMap((view) => [...view])).toEqual(expected.splice(0, action.take))
            expect(views.every(({ length, buffer }) => length > 0 && buffers.has(buffer))).toBe(
              true,
            )
          }
          if (queue.length !== expected.length) expect(queue.length).toBe(expected.length)
        }
        expect(queue.take(Infinity).flatMap((view) => [...view])).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })
})
