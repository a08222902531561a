// The queue of received bytes: what goes in comes out in order, and costs little more than its bytes (D46).
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BlockQueue } from '../../src/codec/block-queue.ts'

describe('BlockQueue', () => {
  it('gives back every byte in order, however it went in and is taken', () => {
    const step = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => ({ push: bytes })),
      fc.integer({ min: 1, max: 5_000 }).map((size) => ({ push: new Uint8Array(size).fill(size) })),
      fc.constant({ take: Infinity }),
      fc.integer({ min: 0, max: 3_000 }).map((take) => ({ take })),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new BlockQueue()
        const [went, came]: [number[], number[]] = [[], []]
        for (const next of steps) {
          if ('push' in next) {
            const lent = Uint8Array.from(next.push)
            queue.push(lent)
            went.push(...lent)
            lent.fill(255)
          } else if (next.take === Infinity) {
            came.push(...(queue.take() ?? []))
          } else {
            came.push(...queue.takeExactly(Math.min(next.take, queue.length)))
          }
          expect(queue.length).toBe(went.length - came.length)
        }
        for (let piece = queue.take(); piece !== undefined; piece = queue.take())
          came.push(...piece)
        expect(came).toEqual(went)
        expect(queue.length).toBe(0)
      }),
    )
  })

  it.each([1, 7, 1000, 16_384])('D46: pieces of %i bytes cost a quarter more at most', (size) => {
    const queue = new BlockQueue()
    const piece = new Uint8Array(size)
    while (queue.length < 300_000) queue.push(piece)
    const bytes = queue.length
    let memory = 0
    let pieces = 0
    for (let next = queue.take(); next !== undefined; next = queue.take()) {
      memory += next.buffer.byteLength
      pieces += 1
    }
    expect(memory).toBeLessThanOrEqual(1.25 * bytes + 1_024)
    expect(pieces).toBeLessThan(bytes / 4_000)
  })

  it('refuses to give more than there is', () => {
    const queue = new BlockQueue()
    queue.push(new Uint8Array(3))
    expect(() => queue.takeExactly(4)).toThrow(RangeError)
  })

  it('drops everything with clear()', () => {
    const queue = new BlockQueue()
    queue.push(new Uint8Array(5_000))
    queue.takeExactly(10)
    queue.clear()
    expect([queue.length, queue.take()]).toEqual([0, undefined])
    queue.push(Uint8Array.of(7))
    expect([...(queue.take() ?? [])]).toEqual([7])
  })

  it('D46: gives a piece in its block where that is filled to four fifths, else as a copy', () => {
    for (const [size, memory] of [
      [10, 10],
      [819, 819],
      [820, 1_024],
      [1_024, 1_024],
      [5_000, 5_000],
    ] as const) {
      const queue = new BlockQueue()
      queue.push(new Uint8Array(size).fill(7))
      const piece = queue.take()!
      expect([piece.length, piece.buffer.byteLength], `${size}`).toEqual([size, memory])
      expect(queue.length).toBe(0)
    }
  })

  it('D46: has blocks of a quarter of what waits, from 1 KiB to 16 KiB', () => {
    const queue = new BlockQueue()
    const sizes: number[] = []
    for (const waiting of [3_000, 8_000, 40_000, 100_000]) {
      queue.push(new Uint8Array(waiting - queue.length))
      const filled = queue.length
      // Bytes one by one, until the block that they began is full.
      queue.push(new Uint8Array(1))
      queue.push(new Uint8Array(20_000))
      const pieces: number[] = []
      for (let piece = queue.take(); piece !== undefined; piece = queue.take()) {
        pieces.push(piece.length)
      }
      expect(pieces.reduce((sum, length) => sum + length)).toBe(filled + 20_001)
      sizes.push(pieces[1]!)
    }
    expect(sizes).toEqual([1_024, 2_000, 10_000, 16_384])
  })

  it('keeps what is left of a block that was taken from, and counts it', () => {
    const queue = new BlockQueue()
    queue.push(Uint8Array.from({ length: 2_000 }, (_, index) => index))
    queue.push(Uint8Array.of(1, 2, 3))
    expect([...queue.takeExactly(1_998)].length).toBe(1_998)
    expect([...queue.takeExactly(3)]).toEqual([1_998 & 255, 1_999 & 255, 1])
    expect(queue.length).toBe(2)
    expect([...queue.take()!]).toEqual([2, 3])
    queue.push(Uint8Array.of(4))
    expect([...queue.takeExactly(1)]).toEqual([4])
    expect([queue.length, queue.take()]).toEqual([0, undefined])
  })
})
