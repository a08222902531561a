// The skeleton of the frame decoders, on frames made up for it: whatever pieces they come in, what comes out is the same,
// nothing of a chunk is kept that is not needed, and what was not handed out can be told.
import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { FrameReader } from '../../src/codec/frame-reader.ts'
import type { FrameSyntax } from '../../src/codec/frame-reader.ts'

/**
 * `.` alone; `b`, `p` and `s` with one byte that says how many follow: a body, pieces, what is skipped. `B` with two.
 * `!` breaks the rules. After pieces there is a frame of its own, where they are more than 9.
 */
class Syntax implements FrameSyntax<string> {
  readonly maxHead = 3
  #pieces = 0
  #shown = ''

  readHead(bytes: Uint8Array, offset: number, end: number): number {
    const type = String.fromCharCode(bytes[offset] ?? 0)
    const length = { '.': 1, '!': 1, B: 3 }[type] ?? 2
    return offset + length <= end ? length : 0
  }

  begin(
    follow: { body(n: number): void; pieces(n: number): void; skip(n: number): void },
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): string | undefined {
    const head = bytes.subarray(offset, offset + length)
    const type = String.fromCharCode(head[0] ?? 0)
    const size = length === 3 ? (head[1] ?? 0) * 256 + (head[2] ?? 0) : (head[1] ?? 0)
    if (type === '!') throw new Error('no frame')
    if (type === '.') return '.'
    if (type === 'b' || type === 'B') follow.body(size)
    if (type === 's') follow.skip(size)
    if (type === 'p') {
      this.#pieces = size
      follow.pieces(size)
    }
    this.#shown = type
    return undefined
  }

  withBody(body: Uint8Array): string {
    return `${this.#shown}(${Buffer.from(body).toString()})`
  }

  piece(data: Uint8Array): string {
    return Buffer.from(data).toString()
  }

  afterPieces(): string | undefined {
    return this.#pieces > 9 ? 'over' : undefined
  }
}

const makeReader = (): FrameReader<string> => new FrameReader(new Syntax())

const sized = (type: string, text: string): string =>
  `${type}${String.fromCharCode(text.length)}${text}`

/** All that can be read now. */
function readAll(reader: FrameReader<string>): string[] {
  const frames: string[] = []
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame)
  return frames
}

/** All that comes of chunks, each of which is used again as soon as it has been read. */
function readChunks(reader: FrameReader<string>, chunks: readonly string[]): string[] {
  return chunks.flatMap((text) => {
    const chunk = Buffer.from(text, 'latin1')
    reader.push(chunk)
    const frames = readAll(reader)
    chunk.fill('?')
    return frames
  })
}

const unreadOf = (reader: FrameReader<string>): string =>
  Buffer.concat(reader.unread()).toString('latin1')

describe('FrameReader', () => {
  it('gives frames in order: at once, with a body that is whole, in pieces, and none for what is skipped', () => {
    const text = `.${sized('b', 'body')}${sized('p', 'piece')}${sized('s', 'nobody')}.`
    expect(readChunks(makeReader(), [text])).toEqual(['.', 'b(body)', 'piece', '.'])
  })

  it('gives what is to be said after pieces, where there is something', () => {
    const text = `${sized('p', '123456789')}${sized('p', '1234567890')}.`
    expect(readChunks(makeReader(), [text])).toEqual(['123456789', '1234567890', 'over', '.'])
  })

  it('takes nothing for a body, pieces or something to skip as well', () => {
    const text = `${sized('b', '')}${sized('p', '')}${sized('s', '')}.`
    expect(readChunks(makeReader(), [text])).toEqual(['b()', '.'])
  })

  it('gives pieces as they come, and a body when it is there', () => {
    const [pieces, body] = [sized('p', 'piece'), sized('b', 'body')]
    const reader = makeReader()
    expect(readChunks(reader, [pieces.slice(0, 4)])).toEqual(['pi'])
    expect(readChunks(reader, [pieces.slice(4) + body.slice(0, 3)])).toEqual(['ece'])
    expect(readChunks(reader, [body.slice(3, 5)])).toEqual([])
    expect(readChunks(reader, [`${body.slice(5)}.`])).toEqual(['b(body)', '.'])
  })

  it('gives the same frames however they are cut, whatever becomes of the chunks', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'p', '.', '!'), maxLength: 12 })
    const long = fc
      .string({ unit: 'grapheme-ascii', minLength: 200, maxLength: 300 })
      .map((words) => `B${String.fromCharCode(words.length >> 8, words.length & 255)}${words}`)
    const frame = fc.oneof(
      fc.constant('.'),
      long,
      ...['b', 'p', 's'].map((type) => text.map((words) => sized(type, words))),
    )
    fc.assert(
      fc.property(fc.array(frame), fc.array(fc.integer({ min: 1, max: 40 })), (frames, cuts) => {
        const all = frames.join('')
        const whole = readChunks(makeReader(), [all])
        const chunks: string[] = []
        let at = 0
        for (const cut of [...cuts, all.length]) {
          chunks.push(all.slice(at, at + cut))
          at += cut
        }
        const reader = makeReader()
        expect(readChunks(reader, chunks).join('')).toBe(whole.join(''))
        expect(reader.unread()).toEqual([])
        expect(readChunks(makeReader(), all.match(/[^]/g) ?? []).join('')).toBe(whole.join(''))
      }),
    )
  })

  it('copies nothing that is there in one piece', () => {
    const bodies: Uint8Array[] = []
    const syntax = new Syntax()
    const note = (body: Uint8Array): string => `${bodies.push(body)}`
    Object.assign(syntax, { withBody: note, piece: note })
    const reader = new FrameReader(syntax)
    const chunk = Buffer.from(`${sized('b', 'body')}${sized('p', 'piece')}`, 'latin1')
    reader.push(chunk)
    readAll(reader)
    expect(bodies).toHaveLength(2)
    for (const body of bodies) expect(body.buffer).toBe(chunk.buffer)
    const rest = Buffer.from('only a piece', 'latin1')
    readChunks(reader, [`p${String.fromCharCode(rest.length)}`])
    reader.push(rest)
    readAll(reader)
    expect(bodies[2]).toBe(rest)
  })

  it('joins a chunk with one that is not used up, in order; an empty one changes nothing', () => {
    const reader = makeReader()
    reader.push(Buffer.from(`.${sized('b', 'one')}`, 'latin1'))
    expect(reader.next()).toBe('.')
    reader.push(new Uint8Array(0))
    reader.push(Buffer.from(sized('b', 'two'), 'latin1'))
    reader.push(Buffer.from('.'))
    expect(readAll(reader)).toEqual(['b(one)', 'b(two)', '.'])
    reader.push(new Uint8Array(0))
    expect(readAll(reader)).toEqual([])
  })
})

describe('FrameReader.keep', () => {
  it('copies what is still to be read', () => {
    const reader = makeReader()
    const chunk = Buffer.from(`.${sized('b', 'one')}..`, 'latin1')
    reader.push(chunk)
    expect(reader.next()).toBe('.')
    reader.keep()
    chunk.fill('!')
    expect(readAll(reader)).toEqual(['b(one)', '.', '.'])
    reader.keep()
    expect(reader.unread()).toEqual([])
  })

  it('copies the head as well that a violation would have to tell', () => {
    const reader = makeReader()
    const chunk = Buffer.from(sized('p', 'piece'), 'latin1')
    reader.push(chunk.subarray(0, 4))
    expect(reader.next()).toBe('pi')
    reader.keep()
    chunk.fill('?')
    expect(unreadOf(reader)).toBe('p\u0005')
  })
})

describe('FrameReader.unread', () => {
  it('after a violation tells all from the first byte of that frame on', () => {
    const reader = makeReader()
    reader.push(Buffer.from('..!and what follows'))
    expect([reader.next(), reader.next()]).toEqual(['.', '.'])
    expect(() => reader.next()).toThrow('no frame')
    expect(unreadOf(reader)).toBe('!and what follows')
  })

  it('tells a head that came in pieces, and one that is not there as a whole', () => {
    const reader = makeReader()
    expect(readChunks(reader, ['.B'])).toEqual(['.'])
    expect(unreadOf(reader)).toBe('B')
    expect(readChunks(reader, ['\u0001'])).toEqual([])
    expect(unreadOf(reader)).toBe('B\u0001')
  })

  it('tells a body as far as it is there, with its head', () => {
    for (const pieces of [
      ['b\u0004', 'bo'],
      ['b', '\u0004bo'],
      ['.b\u0004b', 'o'],
    ]) {
      const reader = makeReader()
      readChunks(reader, pieces)
      expect(unreadOf(reader), pieces.join('|')).toBe('b\u0004bo')
    }
  })

  it('tells nothing of a body that was handed out, nor of what is over', () => {
    const reader = makeReader()
    readChunks(reader, [sized('b', 'body')])
    expect(reader.unread()).toEqual([])
    readChunks(reader, [sized('p', 'piece'), sized('s', 'skipped')])
    expect(reader.unread()).toEqual([])
  })

  it('tells a body that breaks the rules, with its head', () => {
    const syntax = new Syntax()
    syntax.withBody = () => {
      throw new Error('no body')
    }
    for (const cut of [6, 4, 1]) {
      const reader = new FrameReader(syntax)
      const text = `${sized('b', 'body')}more`
      reader.push(Buffer.from(text.slice(0, cut), 'latin1'))
      let last = ''
      try {
        readAll(reader)
        reader.push(Buffer.from(text.slice(cut), 'latin1'))
        readAll(reader)
      } catch (error) {
        last = String(error)
      }
      expect(last).toBe('Error: no body')
      const expected = cut === 6 ? text.slice(0, 6) : text
      expect(unreadOf(reader)).toBe(expected)
    }
  })
})

describe('FrameReader.clear', () => {
  it('forgets everything, and reads nothing any more', () => {
    const reader = makeReader()
    readChunks(reader, ['.B'])
    reader.clear()
    expect(reader.unread()).toEqual([])
    expect(readChunks(reader, ['....', sized('b', 'body')])).toEqual([])
    expect(reader.unread()).toEqual([])
  })
})
