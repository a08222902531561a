// The numbers of a scheme, by hand.
import { expect, it } from 'vitest'
import { DEFAULT_SCHEME, parseScheme } from '../../src/shaping/scheme.ts'
import { summarizeScheme } from '../../src/shaping/scheme-summary.ts'

it('D28 to D31: bytes and Writes of each Deliver of the built-in scheme', () => {
  const { authPadding, delivers, total, restart } = summarizeScheme(DEFAULT_SCHEME)
  expect(authPadding).toEqual(spread(30, 30, 30))
  expect(delivers.slice(0, 4)).toEqual([
    { index: 1, bytes: spread(100, 249.5, 399), writes: spread(1, 1, 1) },
    // Ends at 1, 2, 3, 4 or 5 Writes: 449.5 and up to four times 749.5 on top.
    { index: 2, bytes: spread(400, 449.5 + 2 * 749.5, 499 + 4 * 999), writes: spread(1, 3, 5) },
    { index: 3, bytes: spread(509, 9 + 749.5, 9 + 999), writes: spread(2, 2, 2) },
    { index: 4, bytes: spread(500, 749.5, 999), writes: spread(1, 1, 1) },
  ])
  expect(delivers).toHaveLength(7)
  expect(total).toEqual({ bytes: spread(3039, 5984.5, 9928), writes: spread(9, 11, 13) })
  expect(restart).toBeUndefined()
})

it('D31: an entry may end at a c with a size before it, and at its end', () => {
  const text = 'stop=9\n8=10-10,20-20,c,c,30-30,c\n3=c,5-5\n5=c\n9=7-7\n0=c,4-4,9-9\nrestart=8'
  expect(summarizeScheme(parseScheme(text))).toEqual({
    authPadding: spread(4, 4, 4),
    delivers: [
      { index: 3, bytes: spread(5, 5, 5), writes: spread(1, 1, 1) },
      { index: 5, bytes: spread(0, 0, 0), writes: spread(1, 1, 1) },
      { index: 8, bytes: spread(30, 45, 60), writes: spread(2, 2.5, 3) },
    ],
    total: { bytes: spread(39, 54, 69), writes: spread(5, 5.5, 6) },
    restart: spread(30, 45, 60),
  })
})

function spread(least: number, mean: number, most: number) {
  return { least, mean, most }
}
