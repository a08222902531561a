// The path of a first request, read from what Node's own client sends, and from anything at all.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readH2Target, readHttp1Target } from '../../src/codec/request-target.ts'
import { firstH2Bytes } from '../support/first-h2-bytes.ts'

describe('readHttp1Target', () => {
  it.each([
    ['GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n', '/a?b=c'],
    ['HEAD http://x/a HTTP/1.0\r\n', 'http://x/a'],
    [`GET /${'a'.repeat(1_023)} HTTP/1.1\r\n`, `/${'a'.repeat(1_023)}`],
    [`GET /${'a'.repeat(1_024)} HTTP/1.1\r\n`, undefined],
    [`${'M'.repeat(16)} /${'a'.repeat(1_023)} HTTP/1.1\r\n`, `/${'a'.repeat(1_023)}`],
    [`${'M'.repeat(17)} /a HTTP/1.1\r\n`, undefined],
    ['GET /a HTTP/1.1\r', undefined],
    ['\nGET /a HTTP/1.1\r\n', undefined],
    ['GET /a b HTTP/1.1\r\n', undefined],
    ['GET /a HTTP/2\r\n', undefined],
    ['get /a HTTP/1.1\r\n', undefined],
    ['GET  HTTP/1.1\r\n', undefined],
    ['', undefined],
  ])('%j: %j', (text, target) => {
    expect(readHttp1Target(Buffer.from(text))).toBe(target)
  })
})

describe('readH2Target', () => {
  const PATH = fc.stringMatching(/^\/[!#-;=?-[\]_a-z|~]{0,60}$/)

  it('finds every path that a path can be, whatever stands before it', async () => {
    await fc.assert(
      fc.asyncProperty(PATH, fc.boolean(), async (path, isHead) => {
        const method = isHead ? 'HEAD' : 'GET'
        const headers = {
          'user-agent': 'x',
          ':path': path,
          ':method': method,
          'x-long': 'y'.repeat(200),
        }
        expect(readH2Target(await firstH2Bytes(headers))).toBe(path)
      }),
      { numRuns: 60 },
    )
  })

  it('finds it behind padding and a priority, and when the frame is cut off behind it', async () => {
    const bytes = await firstH2Bytes({ ':path': '/hello-World_42' })
    const at = bytes.lastIndexOf(Buffer.from([0, 0, 0, 1])) - 5
    const block = bytes.subarray(at + 9, at + 9 + bytes.readUIntBE(at, 3))
    const padded = Buffer.concat([
      bytes.subarray(0, at),
      Buffer.from([0, 0, block.length + 8, 1, 0x2d, 0, 0, 0, 1, 2, 0, 0, 0, 0, 15]),
      block,
      Buffer.alloc(2),
    ])
    expect(readH2Target(padded)).toBe('/hello-World_42')
    expect(readH2Target(padded.subarray(0, -3))).toBe('/hello-World_42')
  })

  it('has nothing to say of anything else, whatever it is', () => {
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    const frames = fc.array(
      fc.tuple(
        fc.constantFrom(0, 1, 1, 1, 4, 8),
        fc.integer({ min: 0, max: 255 }),
        fc.uint8Array(),
      ),
    )
    fc.assert(
      fc.property(frames, fc.nat(), (list, cut) => {
        const parts = list.map(([type, flags, payload]) =>
          Buffer.concat([Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, 1]), payload]),
        )
        const bytes = Buffer.concat([preface, ...parts])
        const target = readH2Target(bytes.subarray(0, cut % (bytes.length + 1)))
        expect(target === undefined || target.length <= 1_024).toBe(true)
      }),
    )
    expect(readH2Target(preface.subarray(1))).toBeUndefined()
    expect(readH2Target(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toBeUndefined()
  })
})

/** The preface, and frames: type, flags, payload. */
function h2(...frames: readonly [number, number, Uint8Array][]): Buffer {
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    ...frames.map(([type, flags, payload]) => {
      const head = Buffer.from([0, 0, 0, type, flags, 0, 0, 0, 1])
      head.writeUIntBE(payload.length, 0, 3)
      return Buffer.concat([head, payload])
    }),
  ])
}

/** A string of HPACK, not packed, of less than 127 bytes. */
const text = (words: string): Buffer => Buffer.concat([Buffer.of(words.length), Buffer.from(words)])

const block = (...parts: readonly (Uint8Array | number)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : part)))

describe('a header block made by hand', () => {
  const read = (bytes: Uint8Array): string | undefined => readH2Target(h2([1, 4, bytes]))

  it.each([
    ['the first path of the static table', block(0x82, 0x84), '/'],
    ['the second path of the static table', block(0x82, 0x85), '/index.html'],
    ['one that is kept in the table', block(0x82, 0x44, text('/kept')), '/kept'],
    ['one by the name of the second', block(0x45, text('/second')), '/second'],
    ['one that is not kept', block(0x04, text('/not-kept')), '/not-kept'],
    ['one that must never be', block(0x14, text('/never')), '/never'],
    ['one behind a change of the table', block(0x3f, 0xe1, 0x1f, 0x44, text('/a')), '/a'],
    ['one behind a small change of it', block(0x21, 0x44, text('/a')), '/a'],
    ['one behind a new name', block(0x40, text('x'), text('y'), 0x04, text('/b')), '/b'],
    ['one behind a new name that is not kept', block(0, text('x'), text('y'), 4, text('/b')), '/b'],
    ['one behind another name of the table', block(0x41, text('host'), 0x84), '/'],
    ['one behind a name with a long number', block(0x7f, 0x80, 1, text('v'), 0x84), '/'],
    ['one behind a field with a long number', block(0xff, 0x80, 0x01, 0x84), '/'],
    ['none', block(0x82, 0x86), undefined],
    [
      'none for a number that is too large',
      block(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4),
      undefined,
    ],
    ['none for a value that is cut off', block(0x44, 5, Buffer.from('/a')), ''],
  ])('has %s', (_what, bytes, path) => {
    expect(read(bytes)).toBe(path)
  })

  it('has a path of a number of bytes that takes several to write', () => {
    const path = `/${'a'.repeat(299)}`
    // 127 and 173, of which the low seven bits come first.
    expect(read(block(0x44, 0x7f, 0x80 | (173 & 127), 173 >> 7, Buffer.from(path)))).toBe(path)
  })

  it('has 1,024 bytes of a path at most', () => {
    const path = Buffer.alloc(2_000, '/')
    const rest = 2_000 - 127
    const plain = block(0x44, 0x7f, 0x80 | (rest & 127), rest >> 7, path)
    expect(read(plain)).toBe('/'.repeat(1_024))
    // Five bits of zeros are '0': eight of them in five bytes.
    const packed = block(0x44, 0xff, 0x80 | (rest & 127), rest >> 7, Buffer.alloc(2_000))
    expect(read(packed)).toBe('0'.repeat(1_024))
  })

  it.each([
    // '0' is 00000, '/' 011000, '!' 1111111000; what is left is ones.
    ['00', [0b00000000, 0b00111111], '00'],
    ['/0', [0b01100000, 0b00011111], '/0'],
    ['!', [0b11111110, 0b00111111], '!'],
    ['~', [0b11111111, 0b11101111], '~'],
    ['~ and padding', [0b11111111, 0b11101111, 0b11111111], undefined],
    ['padding of zeros', [0b01100000, 0b00011110], undefined],
    ['a byte of padding', [0b01100000, 0b00011111, 0b11111111], undefined],
    ['a code that no path has', [0b11111111, 0b11111111, 0b11111100, 0], undefined],
  ])('has a packed path, or none where it breaks the code: %s', (_what, bytes, path) => {
    expect(read(block(0x44, 0x80 | bytes.length, Buffer.from(bytes)))).toBe(path)
  })

  it('is found in the first HEADERS frame alone, behind others of any length', () => {
    const path = block(0x44, text('/a'))
    expect(readH2Target(h2([4, 0, Buffer.alloc(18)], [8, 0, Buffer.alloc(4)], [1, 4, path]))).toBe(
      '/a',
    )
    expect(readH2Target(h2([0, 0, Buffer.alloc(70_000)], [1, 4, path]))).toBe('/a')
    expect(readH2Target(h2([1, 4, block(0x82)], [1, 4, path]))).toBeUndefined()
    // What follows the block is none of it.
    expect(readH2Target(h2([1, 4, block(0x82)], [0x84, 4, block(0x84)]))).toBeUndefined()
  })

  it('stands behind the length of its padding, behind its priority, and behind both', () => {
    const path = block(0x44, text('/a'))
    const [padding, priority] = [Buffer.of(0x84), Buffer.alloc(5, 0x84)]
    expect(readH2Target(h2([1, 0x0c, block(padding, path)]))).toBe('/a')
    expect(readH2Target(h2([1, 0x24, block(priority, path)]))).toBe('/a')
    expect(readH2Target(h2([1, 0x2c, block(padding, priority, path)]))).toBe('/a')
  })

  it('is none behind anything but the preface', () => {
    const bytes = h2([1, 4, block(0x84)])
    bytes[23] = 0
    expect(readH2Target(bytes)).toBeUndefined()
  })

  it('is none while the head of its frame is not there', () => {
    const whole = h2([1, 4, block(0x84)])
    expect(readH2Target(whole.subarray(0, -2))).toBeUndefined()
    expect(readH2Target(whole.subarray(0, -1))).toBeUndefined()
    expect(readH2Target(whole)).toBe('/')
  })
})
