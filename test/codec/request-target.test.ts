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
    ['GET /a HTTP/1.1\r', undefined],
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
