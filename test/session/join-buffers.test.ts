// Copies of lent bytes in buffers that serve again: what is kept stays as it was until it has been taken, and costs little
// however small its pieces are.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteQueue } from '../../src/codec/byte-queue.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import {
  RECORDS_LIMIT,
  KeptBytes,
  WIDE_JOIN,
  giveJoinBuffer,
  takeJoinBuffer,
} from '../../src/session/join-buffers.ts'

describe('bytes that are kept', () => {
  it('are taken as they were lent, whatever happens to the lender and to buffers that were given back', () => {
    const step = fc.oneof(
      fc.record({
        keep: fc.oneof(
          fc.integer({ min: 1, max: RECORDS_LIMIT + 10 }),
          fc.constantFrom(WIDE_JOIN, WIDE_JOIN + 1),
        ),
        isSmall: fc.boolean(),
      }),
      fc.record({ take: fc.integer({ min: 1, max: 200_000 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const [kept, queue] = [new KeptBytes(), new ByteQueue()]
        let [sent, taken] = [0, 0]
        const given: Buffer[] = []
        for (const one of steps) {
          if ('keep' in one) {
            const view = numbered(sent, one.isSmall ? Math.min(one.keep, 50) : one.keep)
            sent += view.length
            queue.push(kept.keep(view))
            view.fill(0xff)
          } else {
            const views = queue.take(one.take)
            const bytes = concatBytes(views)
            expect(Buffer.compare(bytes, numbered(taken, bytes.length))).toBe(0)
            taken += bytes.length
            for (const buffer of kept.took(views)) {
              given.push(buffer)
              buffer.fill(0xee)
            }
          }
        }
        given.push(...kept.took(queue.take(Infinity)))
        expect(new Set(given).size).toBe(given.length)
        expect(kept.isEmpty).toBe(true)
      }),
    )
  })

  it('go into the buffers that came back, and small pieces share one', () => {
    const kept = new KeptBytes()
    const views = Array.from({ length: 4_000 }, () => kept.keep(Uint8Array.of(1)))
    expect(new Set(views.map(({ buffer }) => buffer)).size).toBe(1)
    expect(kept.took(views.slice(1))).toEqual([])
    const [buffer, ...others] = kept.took(views.slice(0, 1))
    expect(others).toEqual([])
    giveJoinBuffer(buffer!)
    expect(kept.keep(Uint8Array.of(2)).buffer).toBe(buffer!.buffer)
  })

  it('go into the smallest buffer that they fit into to its last byte, of 4, 65, 129 or 512 KiB', () => {
    const sizes = [4_096, 4_097, 66_560, 66_561, RECORDS_LIMIT, RECORDS_LIMIT + 1]
    expect(sizes.map((bytes) => takeJoinBuffer(bytes).length)).toEqual([
      4_096,
      66_560,
      66_560,
      RECORDS_LIMIT,
      RECORDS_LIMIT,
      WIDE_JOIN,
    ])
    const kept = new KeptBytes()
    expect(kept.isEmpty).toBe(true)
    const views = [4_000, 96, RECORDS_LIMIT, WIDE_JOIN].map((bytes) =>
      kept.keep(new Uint8Array(bytes)),
    )
    expect(kept.isEmpty).toBe(false)
    expect(views[1]!.buffer).toBe(views[0]!.buffer)
    expect(kept.took(views).map(({ length }) => length)).toEqual([4_096, RECORDS_LIMIT, WIDE_JOIN])
    expect(kept.isEmpty).toBe(true)
  })

  it('are no matter of views that were never kept', () => {
    const kept = new KeptBytes()
    const view = kept.keep(new Uint8Array(10))
    expect(kept.took([new Uint8Array(10)])).toEqual([])
    expect(kept.took([new Uint8Array(10), view])).toHaveLength(1)
  })
})

describe('spare buffers', () => {
  it.each([
    [1, 128],
    [66_560, 128],
    [RECORDS_LIMIT, 128],
    [WIDE_JOIN, 16],
  ] as const)('for %i bytes are %i at the most', (bytes, most) => {
    const buffers = Array.from({ length: 200 }, () => takeJoinBuffer(bytes))
    for (const buffer of buffers) giveJoinBuffer(buffer)
    const again = Array.from({ length: 200 }, () => takeJoinBuffer(bytes))
    expect(again.filter((buffer) => buffers.includes(buffer))).toHaveLength(most)
  })
})

/** Bytes that tell their place. */
function numbered(start: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => ((start + index) * 31) >> 3)
}
