import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecordReader } from '../../../src/harness/capture/record-reader.ts'
import type { TlsRecord } from '../../../src/harness/capture/record-reader.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'

/** A record whose body looks like heads itself. */
function record(type: number, body: number, version = 0x0303): Uint8Array {
  const bytes = new Uint8Array(5 + body).fill(22)
  bytes.set([type, version >> 8, version & 255, body >> 8, body & 255])
  return bytes
}

function read(...pieces: Uint8Array[]): { records: TlsRecord[]; lostAt: number | undefined } {
  const reader = new RecordReader()
  const records = pieces.flatMap((piece) => reader.push(piece))
  return { records, lostAt: reader.lostAt }
}

const someRecord = fc
  .tuple(fc.constantFrom(20, 21, 22, 23, 24), fc.integer({ min: 0, max: 300 }))
  .map(([type, body]) => record(type, body))

describe('record heads (RFC 8446, section 5.1)', () => {
  it.for([
    ['a ClientHello under the version of TLS 1.0', record(22, 512, 0x0301), 22, 517],
    ['a ChangeCipherSpec', record(20, 1), 20, 6],
    ['the fullest record of TLS 1.3', record(23, 16_384 + 256), 23, 16_645],
    ['the fullest record of TLS 1.2', record(23, 16_384 + 2_048), 23, 18_437],
    ['a record without a body, as TLS 1.2 allows', record(23, 0), 23, 5],
  ] as const)('reads %s', ([, bytes, type, length]) => {
    expect(read(bytes)).toEqual({ records: [{ type, bytes: length }], lostAt: undefined })
  })

  it.for([
    ['HTTP', new TextEncoder().encode('GET / HTTP/1.1'), 0],
    ['a single byte of something else', Uint8Array.of(0), 0],
    ['the types below', Uint8Array.of(19, 3, 3, 0, 1, 0), 0],
    ['the types above', Uint8Array.of(25, 3, 3, 0, 1, 0), 0],
    ['another major version', Uint8Array.of(22, 2), 0],
    ['a later minor version', Uint8Array.of(22, 3, 5), 0],
    ['a body longer than any', Uint8Array.of(23, 3, 3, 0x48, 0x01), 0],
    ['what follows records', concatBytes([record(22, 9), record(23, 1), Uint8Array.of(1)]), 20],
  ] as const)('is lost at %s', ([, bytes, offset]) => {
    expect(read(bytes).lostAt).toBe(offset)
  })

  it('reads nothing more once it is lost', () => {
    const { records, lostAt } = read(record(22, 3), Uint8Array.of(0), record(22, 3))
    expect(records).toHaveLength(1)
    expect(lostAt).toBe(8)
  })

  it('tells of a record when its last byte has come and not before', () => {
    const reader = new RecordReader()
    const bytes = record(23, 40)
    expect(reader.push(bytes.subarray(0, 44))).toEqual([])
    expect(reader.push(bytes.subarray(44))).toEqual([{ type: 23, bytes: 45 }])
  })

  it('reads the same records whatever the segmentation', () => {
    fc.assert(
      fc.property(
        fc.array(someRecord, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 40 }),
        (records, cuts) => {
          const bytes = concatBytes(records)
          const pieces: Uint8Array[] = []
          for (let offset = 0, turn = 0; offset < bytes.length; turn += 1) {
            const length = cuts[turn % cuts.length] ?? 1
            pieces.push(bytes.subarray(offset, offset + length))
            offset += length
          }
          const expected = records.map(({ length, [0]: type }) => ({ type, bytes: length }))
          expect(read(...pieces)).toEqual({ records: expected, lostAt: undefined })
        },
      ),
    )
  })

  it('bears any bytes: each is a record, the beginning of one, or makes it lost', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const { records, lostAt } = read(bytes)
        const passed = records.reduce((sum, record) => sum + record.bytes, 0)
        expect(passed).toBeLessThanOrEqual(bytes.length)
        if (lostAt !== undefined) expect(lostAt).toBe(passed)
      }),
    )
  })
})
