// What a reader gets of what a stream has received: Buffers of its own, however the bytes were lent.
import { describe, expect, it } from 'vitest'
import { Inbox } from '../../src/session/inbox.ts'

/** A view of `length` bytes of a buffer that has `size`. */
function viewIn(size: number, length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(size), 0, length).fill(length)
}

/** Everything that there is, in the pieces in which it is given. */
function takeAll(inbox: Inbox): string[] {
  const pieces: string[] = []
  for (let piece = inbox.take(); piece !== undefined; piece = inbox.take())
    pieces.push(String(piece))
  return pieces
}

describe('a piece that is read in the turn that brought it', () => {
  it('is the very bytes where it is large, and all but a fifth of what holds them', () => {
    for (const size of [4_096, 5_120]) {
      const inbox = new Inbox(false, false)
      const view = viewIn(size, 4_096)
      inbox.push(view)
      expect(inbox.length).toBe(4_096)
      const piece = inbox.take()!
      expect(piece.buffer).toBe(view.buffer)
      expect([piece.byteOffset, piece.length]).toEqual([0, 4_096])
      expect(inbox.length).toBe(0)
    }
  })

  it.each([
    ['small', 4_095, 4_095, false],
    ['a part of something larger', 5_121, 4_096, false],
    ['lent by the socket itself', 65_536, 65_536, true],
  ])('is a copy that keeps little where it is %s', (_name, size, length, lent) => {
    const inbox = new Inbox(false, lent)
    const view = viewIn(size, length)
    inbox.push(view)
    const piece = inbox.take()!
    expect(piece.equals(view)).toBe(true)
    expect(piece.buffer).not.toBe(view.buffer)
    expect(piece.buffer.byteLength).toBeLessThanOrEqual(Math.max(8_192, length))
  })

  it('shares a block of 8 KiB with other small copies, and no byte of it', () => {
    const take = (fill: number, length: number): Buffer => {
      const inbox = new Inbox(false, true)
      inbox.push(new Uint8Array(length).fill(fill))
      return inbox.take()!
    }
    const copies: [number, Buffer][] = []
    for (let fill = 1; fill <= 40; fill += 1) copies.push([fill, take(fill, 1_000)])
    for (const [fill, copy] of copies) expect(copy.equals(Buffer.alloc(1_000, fill))).toBe(true)
    const blocks = new Set(copies.map(([, { buffer }]) => buffer))
    for (const { byteLength } of blocks) expect(byteLength).toBe(8_192)
    // Eight fit into each; the first one may have been begun by somebody else.
    expect(blocks.size).toBeLessThanOrEqual(6)
  })

  it('has a block of 8 KiB for itself at 4 KiB and its own buffer beyond', () => {
    const sizes = [4_096, 4_097].map((length) => {
      const inbox = new Inbox(false, true)
      inbox.push(new Uint8Array(length))
      return inbox.take()!.buffer.byteLength
    })
    expect(sizes).toEqual([8_192, 4_097])
  })
})

describe('bytes that wait', () => {
  it('are kept as they were, in order, whatever becomes of what was lent', () => {
    const inbox = new Inbox(false, true)
    const views = ['one ', 'two ', 'three'].map((word) => Buffer.from(word))
    for (const view of views) inbox.push(view)
    expect(inbox.length).toBe(13)
    inbox.keep()
    for (const view of views) view.fill('x')
    expect(takeAll(inbox).join('')).toBe('one two three')
    expect(inbox.length).toBe(0)
  })

  it('are kept at the end of a turn, and those of the next come behind them', () => {
    const inbox = new Inbox(false, false)
    const first = Buffer.from('one ')
    inbox.push(first)
    inbox.keep()
    inbox.keep()
    first.fill('x')
    expect(inbox.length).toBe(4)
    inbox.push(Buffer.from('two'))
    expect(inbox.length).toBe(7)
    expect(takeAll(inbox).join('')).toBe('one two')
  })

  it('are none to begin with, and none after clear()', () => {
    const inbox = new Inbox(false, false)
    expect(inbox.take()).toBeUndefined()
    inbox.push(Buffer.from('one'))
    inbox.clear()
    expect([inbox.length, inbox.take()]).toEqual([0, undefined])
    inbox.push(Buffer.from('two'))
    inbox.push(Buffer.from('three'))
    inbox.clear()
    expect([inbox.length, inbox.take()]).toEqual([0, undefined])
  })
})

describe('datagrams', () => {
  it('are given one by one as they came, and each counts two bytes more', () => {
    const inbox = new Inbox(true, true)
    expect(inbox.take()).toBeUndefined()
    const words = ['one', 'two', 'x'.repeat(65_535), 'y'.repeat(256)]
    for (const word of words) {
      const view = Buffer.from(word)
      inbox.push(view)
      view.fill('z')
    }
    expect(inbox.length).toBe(words.join('').length + 8)
    inbox.keep()
    expect(takeAll(inbox)).toEqual(words)
    expect(inbox.length).toBe(0)
  })

  it('are gone after clear()', () => {
    const inbox = new Inbox(true, false)
    inbox.push(Buffer.from('one'))
    inbox.clear()
    expect([inbox.length, inbox.take()]).toEqual([0, undefined])
  })
})
