import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeTrace, isTrace, parseTrace } from '../../../src/harness/capture/trace-format.ts'

describe('traces of maybenot-simulator', () => {
  it('are read: sent and received, padding too, with blanks and empty lines', () => {
    const text = '0,s,52\n  19714282,r,52\n183976147,sn,40\r\n200000000,rp,191\n\n'
    expect(isTrace(text)).toBe(true)
    const { records } = parseTrace(text)
    expect(records.map(({ direction, time, bytes }) => [direction, time, bytes])).toEqual([
      ['up', 0, 52],
      ['down', 19.714282, 52],
      ['up', 183.976147, 40],
      ['down', 200, 191],
    ])
  })

  it('to the nanosecond, they are what they were after both ways', () => {
    const line = fc.record({
      ns: fc.integer({ min: 0, max: 1e14 }),
      letter: fc.constantFrom('s', 'r'),
      size: fc.integer({ min: 5, max: 18_437 }),
    })
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 30 }), (lines) => {
        const sorted = lines.toSorted((a, b) => a.ns - b.ns)
        const began = sorted[0]!.ns
        const text = sorted
          .map(({ ns, letter, size }) => `${ns - began},${letter},${size}\n`)
          .join('')
        expect(encodeTrace(parseTrace(text))).toBe(text)
      }),
    )
  })

  it.for([
    ['another direction', '0,x,50', /^line 1: it is not time,direction,size/],
    ['a negative time', '0,s,50\n-1,s,50', /^line 2: it is not/],
    ['no size', '0,s', /^line 1: it has no size$/],
    ['a size above any record', '0,s,99999', /^line 1: the size must be from 5 to 18437$/],
    ['time that runs backwards', '5,s,50\n4,s,50', /^line 2: time runs backwards$/],
  ] as const)('Bad input: %s', ([, text, says]) => {
    expect(() => parseTrace(text)).toThrow(
      expect.objectContaining({
        code: 'ERR_CAPTURE_INVALID',
        message: expect.stringMatching(says) as unknown,
      }),
    )
  })
})
