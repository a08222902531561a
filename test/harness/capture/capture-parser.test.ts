import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeCaptureLine,
  MAX_CAPTURE_CONNECTIONS,
  MAX_CAPTURE_RECORDS,
} from '../../../src/harness/capture/capture-event.ts'
import type { CaptureEvent, CaptureHeader } from '../../../src/harness/capture/capture-event.ts'
import { CaptureParser, parseCapture } from '../../../src/harness/capture/capture-parser.ts'
import { AnyTlsError } from '../../../src/errors.ts'

const HEADER: CaptureHeader = {
  format: 'anytls-capture',
  version: 1,
  to: 'example.com:443',
  started: '2026-01-01T00:00:00.000Z',
}
const EVENTS: readonly CaptureEvent[] = [
  { event: 'open', connection: 1, time: 5 },
  { event: 'record', connection: 1, direction: 'up', time: 0.25, type: 22, bytes: 517 },
  { event: 'open', connection: 2, time: 5.5 },
  { event: 'not-tls', connection: 2, direction: 'down', time: 1, offset: 0 },
  { event: 'record', connection: 1, direction: 'down', time: 0.5, type: 23, bytes: 5 },
  { event: 'close', connection: 1, time: 9, reason: 'end', up: 517, down: 5 },
  { event: 'limit', time: 20, of: 'records' },
]

const textOf = (events: readonly CaptureEvent[]) =>
  [HEADER, ...events].map((line) => encodeCaptureLine(line)).join('')

/** The header and these lines, as they are. */
const lines = (...more: string[]) => [JSON.stringify(HEADER), ...more, ''].join('\n')

const OPEN = '{"event":"open","connection":1,"time":0}'
const RECORD = '{"event":"record","connection":1,"direction":"up","time":3,"type":23,"bytes":100}'
const CLOSE = '{"event":"close","connection":1,"time":9,"reason":"end","up":1,"down":2}'

describe('capture files', () => {
  it('are read as they were written', () => {
    expect(parseCapture(textOf(EVENTS))).toEqual({
      header: HEADER,
      cutOff: false,
      limit: 'records',
      connections: [
        {
          connection: 1,
          opened: 5,
          notTls: [],
          lost: [],
          records: [
            { direction: 'up', time: 0.25, type: 22, bytes: 517 },
            { direction: 'down', time: 0.5, type: 23, bytes: 5 },
          ],
          close: { time: 9, reason: 'end', up: 517, down: 5 },
        },
        { connection: 2, opened: 5.5, records: [], notTls: ['down'], lost: [] },
      ],
    })
  })

  it('with numbered lines, none can be missing, doubled or moved: the next one says so', () => {
    const all = [
      encodeCaptureLine(HEADER),
      ...EVENTS.map((event, index) => encodeCaptureLine(event, index + 2)),
      encodeCaptureLine({ event: 'end' }, EVENTS.length + 2),
    ]
    expect(parseCapture(all.join(''))).toEqual(parseCapture(textOf(EVENTS)))
    for (let at = 1; at < all.length - 1; at += 1) {
      const text = all.toSpliced(at, 1).join('')
      expect(() => parseCapture(text), `without line ${at + 1}`).toThrow(/^line \d+: it says that/)
      const doubled = all.toSpliced(at, 0, all[at]!).join('')
      expect(() => parseCapture(doubled)).toThrow(/^line \d+: it says that/)
    }
    expect(parseCapture(all.slice(0, -1).join('')).cutOff).toBe(true)
    expect(() => parseCapture([...all, encodeCaptureLine({ event: 'end' }, 10)].join(''))).toThrow(
      /^line 10: there is a line behind the end$/,
    )
  })

  it('without numbers, what a connection carried shows that records are missing or added', () => {
    const [open, record] = ['{"event":"open","connection":1,"time":0}', RECORD]
    const large = RECORD.replace('100', '16406')
    const closed = (up: number) =>
      `{"event":"close","connection":1,"time":9,"reason":"end","up":${up},"down":0}`
    const read = (...more: string[]) => parseCapture(lines(open, ...more))
    expect(read(record, record, closed(200)).connections[0]?.records).toHaveLength(2)
    // The beginning of one more.
    expect(read(record, closed(17_000)).connections[0]?.records).toHaveLength(1)
    expect(() => read(record, record, closed(150))).toThrow(/^line 5: "up" is not the sum/)
    expect(() => read(large, closed(2 * 16_406 + 16_406))).toThrow(/^line 4: "up" is not the sum/)
  })

  it('are read in pieces as they are in one', () => {
    const text = textOf(EVENTS)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: text.length }), (size) => {
        const parser = new CaptureParser()
        for (let at = 0; at < text.length; at += size) parser.push(text.slice(at, at + size))
        expect(parser.end()).toEqual(parseCapture(text))
      }),
    )
  })

  it('that break off anywhere behind the header are read up to there', () => {
    const text = textOf(EVENTS.slice(0, -1))
    const header = encodeCaptureLine(HEADER).length
    for (let length = header; length < text.length; length += 1) {
      const capture = parseCapture(text.slice(0, length))
      const whole = text.slice(header, length).split('\n').length - 1
      const lineIsWhole = text[length] === '\n' || text[length - 1] === '\n'
      expect(capture.cutOff).toBe(!lineIsWhole)
      if (whole > 0) expect(capture.connections[0]?.opened).toBe(5)
    }
  })

  it.for([
    ['nothing', '', /^line 1: there is no header/],
    ['a header that breaks off', '{"format":"anyt', /^line 1: there is no header/],
    ['text', 'hello\n', /^line 1: it is not JSON/],
    ['an array', '[]\n', /^line 1: the header must be an object/],
    ['null', 'null\n', /^line 1: the header must be an object/],
    [
      'another format',
      '{"format":"x"}\n',
      /^line 1: the header: "format" must be "anytls-capture"$/,
    ],
    [
      'another version',
      '{"format":"anytls-capture","version":2}\n',
      /^line 1: the header: "version" must be 1$/,
    ],
    [
      'a header without a target',
      '{"format":"anytls-capture","version":1}\n',
      /"to" must be a text/,
    ],
    ['a line that is no JSON', lines(OPEN, '{"event"', RECORD), /^line 3: it is not JSON/],
    ['an empty line', lines(OPEN, '', RECORD), /^line 3: it is not JSON/],
    ['an unknown field', lines(OPEN.replace('}', ',"a":1}')), /^line 2: .*no field "a"/],
    [
      'an unknown event',
      lines('{"event":"nap"}'),
      /^line 2: the event: "event" must be "open" or "record"/,
    ],
    [
      'an inherited name',
      lines('{"__proto__":{"event":"open"}}'),
      /^line 2: the event: there is no field "__proto__"/,
    ],
    ['a record of no connection', lines(RECORD), /^line 2: connection 1 has not been opened$/],
    ['a record of a closed connection', lines(OPEN, CLOSE, RECORD), /^line 4: .*been closed$/],
    ['a connection out of order', lines(OPEN.replace('1', '2')), /^line 2: .*out of order$/],
    ['a connection opened twice', lines(OPEN, OPEN), /^line 3: .*out of order$/],
    ['time that runs backwards', lines(OPEN, RECORD, RECORD.replace('3', '2')), /^line 4: time/],
    [
      'a negative time',
      lines(OPEN, RECORD.replace('3', '-3')),
      /^line 3: .*"time" must be a number/,
    ],
    ['an endless time', lines(OPEN.replace('0', '1e999')), /^line 2: .*"time" must be a number/],
    ['a negative size', lines(OPEN, RECORD.replace('100', '-100')), /^line 3: .*"bytes" must be/],
    [
      'a size with a fraction',
      lines(OPEN, RECORD.replace('100', '99.5')),
      /"bytes" must be a whole/,
    ],
    ['a size above any record', lines(OPEN, RECORD.replace('100', '18438')), /from 5 to 18437$/],
    ['a size as text', lines(OPEN, RECORD.replace('100', '"100"')), /"bytes" must be a whole/],
    ['an unknown content type', lines(OPEN, RECORD.replace('23', '99')), /"type" must be a whole/],
    ['an unknown direction', lines(OPEN, RECORD.replace('up', 'left')), /must be "up" or "down"$/],
    ['an unknown reason', lines(OPEN, CLOSE.replace('end', 'x')), /"reason" must be "end" or/],
    [
      'a line behind the limit',
      lines('{"event":"limit","time":1,"of":"records"}', OPEN),
      /^line 3: there is a line behind the limit$/,
    ],
    ['a line that is too long', lines(' '.repeat(1025)), /^line 2: the line is longer than 1024/],
    [
      'a line without an end',
      `${JSON.stringify(HEADER)}\n${'x'.repeat(9_999)}`,
      /^line 2: .*longer/,
    ],
  ] as const)('Bad input: %s is told of in one line with its number', ([, text, says]) => {
    const error = failure(() => parseCapture(text))
    expect(error.code).toBe('ERR_CAPTURE_INVALID')
    expect(error.message).toMatch(says)
    expect(error.message).not.toMatch(/\p{Cc}/u)
  })

  it('Bad input: whatever is damaged, only that error comes', () => {
    const text = textOf(EVENTS)
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: text.length }),
        fc.integer({ min: 0, max: 40 }),
        fc.string({ maxLength: 20, unit: 'binary' }),
        (at, removed, added) => {
          try {
            parseCapture(text.slice(0, at) + added + text.slice(at + removed))
          } catch (error) {
            expect(error).toMatchObject({ code: 'ERR_CAPTURE_INVALID' })
          }
        },
      ),
    )
  })

  it('Bad input: more records than the bound are refused', () => {
    const parser = new CaptureParser()
    parser.push(lines(OPEN))
    const thousand = `${RECORD}\n`.repeat(1_000)
    for (let count = 0; count < MAX_CAPTURE_RECORDS; count += 1_000) parser.push(thousand)
    expect(failure(() => parser.push(`${RECORD}\n`)).message).toBe(
      'line 1000003: there are more than 1000000 records',
    )
  })

  it('Bad input: more connections than the bound are refused', () => {
    const parser = new CaptureParser()
    parser.push(lines())
    const open = (connection: number) => encodeCaptureLine({ event: 'open', connection, time: 0 })
    for (let number = 1; number <= MAX_CAPTURE_CONNECTIONS; number += 1) parser.push(open(number))
    expect(failure(() => parser.push(open(MAX_CAPTURE_CONNECTIONS + 1))).message).toMatch(
      /"connection" must be a whole number from 1 to 100000$/,
    )
  })
})

function failure(act: () => unknown): AnyTlsError {
  try {
    act()
  } catch (error) {
    if (error instanceof AnyTlsError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
