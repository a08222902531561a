import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isInBand, schemeBand } from '../../../src/harness/report/scheme-band.ts'
import type { SchemeBand } from '../../../src/harness/report/scheme-band.ts'
import { DEFAULT_SCHEME, parseScheme } from '../../../src/shaping/scheme.ts'
import { Shaper } from '../../../src/shaping/shaper.ts'
import { seededRandomInt } from '../../support/seeded-random.ts'

const band = (text: string, length = 20) => shown(schemeBand(parseScheme(text), length))

const shown = (found: SchemeBand) =>
  found.map(({ ranges }) =>
    ranges.map(({ min, max }) => (min === max ? `${min}` : `${min}-${max}`)).join(' '),
  )

describe('the band of a scheme', () => {
  it('begins behind Deliver 0, which is of any size (D28)', () => {
    expect(band('stop=2\n0=30-30\n1=100-200')).toEqual(['', '100-199'])
  })

  it('D30: the upper end is not drawn, and equal ends are that size', () => {
    expect(band('stop=3\n1=9-9\n2=10-12')).toEqual(['', '9', '10-11'])
  })

  it('D31: behind a c the Deliver may be over or not', () => {
    expect(band('stop=3\n1=10-10,c,20-20\n2=30-30')).toEqual(['', '10', '20 30', '30'])
  })

  it('a c in front, doubled or at the end changes nothing by itself', () => {
    expect(band('stop=3\n1=c,10-10,c,c,20-20,c\n2=30-30')).toEqual(['', '10', '20 30', '30'])
  })

  it('a Deliver without an entry, or of c alone, is one record of any size', () => {
    expect(band('stop=5\n1=10-10\n3=c\n4=40-40')).toEqual(['', '10', '', '', '40'])
  })

  it('ends with the stop, and entries from there on do not count', () => {
    expect(band('stop=2\n1=10-10\n2=20-20')).toEqual(['', '10'])
    expect(band('stop=0\n0=30-30\n1=10-10')).toEqual([])
  })

  it('is open where shaping may be over, or may not apply, and closed where each record is shaped', () => {
    const open = (text: string) =>
      schemeBand(parseScheme(text), 20).map(({ isOpen }) => (isOpen ? 'open' : 'closed'))
    expect(open('stop=3\n1=10-10,c,20-20\n2=30-30')).toEqual(['open', 'closed', 'closed', 'open'])
    expect(open('stop=4\n1=10-10\n3=30-30')).toEqual(['open', 'closed', 'open', 'closed'])
  })

  it('is no longer than asked, however far the stop is', () => {
    expect(band('stop=4294967295\n1=10-10\n4000000000=5-5', 60)).toEqual(['', '10'])
    expect(band('stop=9\n1=10-10\n2=20-20\n3=30-30', 3)).toEqual(['', '10', '20'])
  })

  it('D33: a Write above one record shows as a full one', () => {
    expect(band('stop=2\n1=16000-20000')).toEqual(['', '16000-16384'])
    expect(band('stop=2\n1=60000-60000')).toEqual(['', '16384'])
  })

  it('joins ranges that touch or overlap', () => {
    expect(band('stop=3\n1=10-20,c,20-30\n2=25-40')).toEqual(['', '10-19', '20-39', '25-39'])
  })

  it('of the built-in scheme', () => {
    expect(shown(schemeBand(DEFAULT_SCHEME, 60))).toEqual([
      ...['', '100-399', '400-499'],
      ...new Array<string>(5).fill('9 500-999'),
      ...new Array<string>(5).fill('500-999'),
    ])
  })

  it('holds every Write that the shaper makes of Delivers that fit into their targets', () => {
    const size = fc
      .tuple(fc.integer({ min: 40, max: 900 }), fc.integer({ min: 0, max: 200 }))
      .map(([min, more]) => `${min}-${min + more}`)
    const entry = fc.tuple(size, fc.array(fc.oneof(size, fc.constant('c')), { maxLength: 5 }))
    const padding = {
      fill: (bytes: number) => new Uint8Array(bytes),
      alone: (target: number) => new Uint8Array(target),
    }
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 6 }), fc.nat(), (entries, seed) => {
        const lines = entries.map(
          ([first, rest], index) => `${index + 1}=${[first, ...rest].join()}`,
        )
        const scheme = parseScheme([`stop=${entries.length + 1}`, ...lines].join('\n'))
        const randomInt = seededRandomInt(seed)
        const shaper = new Shaper(scheme, randomInt, padding)
        const sizes = [shaper.deliver(new Uint8Array(80)).length === 1 ? 80 : 0]
        for (const index of entries.keys()) {
          const items = scheme.entries.get(index + 1) ?? []
          const room = items.reduce((sum, item) => sum + (item.kind === 'size' ? item.min : 0), 0)
          const writes = shaper.deliver(new Uint8Array(randomInt(1, room + 1)))
          sizes.push(...writes.map(({ length }) => length))
        }
        const found = schemeBand(scheme, sizes.length)
        for (const [index, size] of sizes.entries()) {
          if (index === 0) continue
          const inside = found[index]?.ranges.some(({ min, max }) => size >= min && size <= max)
          expect(inside, `${scheme.text}: record ${index} of ${size}`).toBe(true)
        }
      }),
    )
  })

  it('D22: counts what the wires cannot help, and nothing more', () => {
    const ranges = [
      { min: 100, max: 200 },
      { min: 500, max: 500 },
    ]
    expect([98, 99, 207, 208, 499, 507, 508].map((size) => isInBand(ranges, size))).toEqual([
      ...[false, true, true, false, true, true, false],
    ])
    expect(isInBand([], 100)).toBe(false)
  })
})
