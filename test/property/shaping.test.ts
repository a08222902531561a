// Properties of the shaper and of the scheme language over random schemes, data and text.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SchemeError } from '../../src/errors.ts'
import {
  DEFAULT_SCHEME_TEXT,
  encodeScheme,
  parsePeerScheme,
  parseScheme,
} from '../../src/shaping/scheme.ts'
import { type RandomInt, Shaper } from '../../src/shaping/shaper.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { seededRandomInt } from '../support/seeded-random.ts'
import { isV1PaddingFrame, v1Padding, v1PaddingFrame } from '../support/v1-padding.ts'

// Small sizes meet the edges of D22 often; some are large enough for every length prefix.
const size = fc.oneof(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 20_000 }))
const range = fc.tuple(size, fc.nat({ max: 50 })).map(([min, more]) => `${min}-${min + more}`)
const item = fc.oneof({ weight: 3, arbitrary: range }, fc.constant('c'))
const entry = fc.array(item, { minLength: 1, maxLength: 8 })
const schemeText = fc
  .record({
    stop: fc.nat({ max: 8 }),
    entries: fc.dictionary(fc.nat({ max: 9 }).map(String), entry, { noNullPrototype: true }),
  })
  .map(({ stop, entries }) =>
    [
      `stop=${stop}`,
      ...Object.entries(entries).map(([key, items]) => `${key}=${items.join()}`),
    ].join('\n'),
  )
const seed = fc.nat()
const delivers = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 30_000 })),
  { minLength: 1, maxLength: 10 },
)

const PATTERN = Uint8Array.from({ length: 30_000 }, (_, index) => index % 251)

describe('the shaper', () => {
  it('draft, Phase 2 and 3: data is conserved and in order, and all else is PADDING of zeros (D35)', () => {
    fc.assert(
      fc.property(schemeText, delivers, seed, (text, sizes, number) => {
        const shaper = new Shaper(parseScheme(text), seededRandomInt(number), v1Padding)
        for (const data of sizes.map(dataOf)) {
          const writes = shaper.deliver(data)
          const parts = splitOff(writes, data.length)
          expect(Buffer.compare(concatBytes(parts.map(({ head }) => head)), data)).toBe(0)
          const padding = parts.map(({ tail }) => tail).filter(({ length }) => length > 0)
          expect(padding.every(isV1PaddingFrame)).toBe(true)
          expect(writes.every(({ length }) => length > 0)).toBe(true)
        }
      }),
    )
  })

  it('D28, D29, D31, D32: the Writes are those of the rules read out one by one', () => {
    fc.assert(
      fc.property(schemeText, delivers, seed, (text, sizes, number) => {
        const shaper = new Shaper(parseScheme(text), seededRandomInt(number), v1Padding)
        const rules = rulesOf(text, seededRandomInt(number))
        for (const [index, length] of sizes.entries()) {
          const made = shaper.deliver(dataOf(length)).map((write) => write.length)
          expect(made).toEqual(rules(index, length))
        }
      }),
    )
  })

  it('D22: a Write that ends in padding has its target to the byte', () => {
    fc.assert(
      fc.property(size, size, (target, length) => {
        const shaper = new Shaper(parseScheme(`stop=2\n1=${target}-${target},c`), never, v1Padding)
        shaper.deliver(dataOf(1))
        const [first] = shaper.deliver(dataOf(length))
        const gap = target - length
        expect(first?.length).toBe(gap === 1 || gap === 2 ? length : target)
      }),
    )
  })

  it('D22: PADDING can have every length but 1 and 2', () => {
    for (const total of [0, 1, 2]) expect(v1PaddingFrame(total)).toBeUndefined()
    const atEveryPrefix = [...steps(3, 300), ...steps(16_300, 16_500), ...steps(65_530, 65_540)]
    for (const total of atEveryPrefix) {
      const frame = v1PaddingFrame(total)
      expect(frame?.length).toBe(total)
      expect(frame !== undefined && isV1PaddingFrame(frame)).toBe(true)
    }
  })
})

describe('the scheme language', () => {
  it('D24: a scheme survives its KV form, digest and all', () => {
    fc.assert(
      fc.property(schemeText, (text) => {
        const scheme = parseScheme(text)
        expect(scheme.text).toBe(text)
        expect(parsePeerScheme(encodeScheme(scheme))).toEqual(scheme)
        expect(parseScheme(new TextDecoder().decode(encodeScheme(scheme)))).toEqual(scheme)
      }),
    )
  })

  it('any text gives a scheme or a SchemeError whose message is one plain line', () => {
    const words = fc.constantFrom(
      'stop=8',
      '\n',
      '=',
      ',',
      'c',
      '-',
      '0',
      '1',
      '1-2',
      '9-3',
      '\r',
      ' ',
    )
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(words).map((parts) => parts.join('')),
      mutated(DEFAULT_SCHEME_TEXT),
    )
    fc.assert(
      fc.property(texts, (text) => {
        onlySchemeErrors(() => parseScheme(text))
        onlySchemeErrors(() => parsePeerScheme(text))
      }),
      { numRuns: 500 },
    )
  })

  it('D23: any bytes from a peer give a scheme or a SchemeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        onlySchemeErrors(() => parsePeerScheme(bytes))
      }),
      { numRuns: 500 },
    )
  })

  it('D30: what the strict parser accepts, a peer may send as well', () => {
    fc.assert(
      fc.property(mutated(DEFAULT_SCHEME_TEXT), (text) => {
        let strict
        try {
          strict = parseScheme(text)
        } catch {
          return
        }
        try {
          expect(parsePeerScheme(text)).toEqual(strict)
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_SCHEME_LIMIT' })
        }
      }),
      { numRuns: 500 },
    )
  })
})

/** The rules on lengths alone, straight from the table of decisions, on the text itself. */
function rulesOf(text: string, draw: RandomInt): (index: number, length: number) => number[] {
  const lines = new Map(text.split('\n').map((line) => line.split('=') as [string, string]))
  return (index, length) => {
    const entry = lines.get(String(index))
    if (index === 0 || index >= Number(lines.get('stop')) || entry === undefined) return [length]
    const writes: number[] = []
    let left = length
    for (const word of entry.split(',')) {
      if (word === 'c' && left === 0) return writes
      if (word === 'c') continue
      const [min, max] = word.split('-').map(Number) as [number, number]
      const target = min === max ? min : draw(min, max)
      const gap = target - left
      if (gap < 0) writes.push(target)
      else if (left > 0) writes.push(gap === 1 || gap === 2 ? left : target)
      else if (target > 2) writes.push(target)
      left = Math.max(0, -gap)
    }
    return left > 0 ? [...writes, left] : writes
  }
}

/** Each Write as its share of the data and what follows it. */
function splitOff(writes: readonly Uint8Array[], dataLength: number) {
  let left = dataLength
  return writes.map((write) => {
    const share = Math.min(left, write.length)
    left -= share
    return { head: write.subarray(0, share), tail: write.subarray(share) }
  })
}

/** `text` with one stretch of it replaced. */
function mutated(text: string): fc.Arbitrary<string> {
  const place = fc.nat({ max: text.length })
  return fc
    .tuple(place, fc.nat({ max: 6 }), fc.string({ maxLength: 4 }))
    .map(([at, removed, added]) => text.slice(0, at) + added + text.slice(at + removed))
}

function onlySchemeErrors(parse: () => unknown): void {
  try {
    parse()
  } catch (error) {
    if (!(error instanceof SchemeError)) throw error
    expect(error.message).toMatch(/^[\x20-\x7e]{1,120}$/)
    expect(error.line).toBeGreaterThan(0)
    expect(error.column).toBeGreaterThan(0)
  }
}

function dataOf(length: number): Uint8Array {
  return PATTERN.subarray(0, length)
}

function steps(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

function never(): never {
  throw new Error('nothing is to be drawn here')
}
