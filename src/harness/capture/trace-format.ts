// Traces as maybenot-simulator reads them: one connection a file, one line a packet, `time,direction,size`; the time
// in nanoseconds since the beginning, `s` or `r` as the client sees it, the size in bytes.

import { AnyTlsError } from '../../errors.ts'
import { MAX_CAPTURE_RECORDS } from './capture-event.ts'
import type { CapturedConnection, CapturedRecord } from './capture-parser.ts'
import { RECORD_HEAD_LENGTH } from '../../codec/tls-record.ts'
import { ContentType, RECORD_MAX_LENGTH } from './record-reader.ts'

/** The directions of a trace; the second letter tells, in some, a packet from padding, which an onlooker cannot. */
const TRACE_LINE = /^\s*(\d{1,18})\s*,\s*([sr])[np]?\s*(?:,\s*(\d{1,9})\s*)?$/

const NS_PER_MS = 1e6

/** The records of one connection, all of them, by their bytes on the wire. Content types are not in a trace. */
export function encodeTrace({ records }: CapturedConnection): string {
  const began = records[0]?.time ?? 0
  return records
    .map(({ time, direction, bytes }) => {
      const ns = Math.round(time * NS_PER_MS) - Math.round(began * NS_PER_MS)
      return `${ns},${direction === 'up' ? 's' : 'r'},${bytes}\n`
    })
    .join('')
}

/** Whether a text begins as a trace does. */
export function isTrace(text: string): boolean {
  return TRACE_LINE.test(text.slice(0, LONGEST_LINE).trimStart().split(/\r?\n/, 1)[0] ?? '')
}

/** Characters of a line, far more than one needs. */
const LONGEST_LINE = 200

/**
 * A trace as the one connection of a capture. Every line counts as a record of application data.
 *
 * @throws AnyTlsError `ERR_CAPTURE_INVALID`, one line that begins with the number of the line
 */
export function parseTrace(text: string): CapturedConnection {
  const records: CapturedRecord[] = []
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const fail = (problem: string) =>
      new AnyTlsError('ERR_CAPTURE_INVALID', `line ${index + 1}: ${problem}`)
    const [, ns, letter, size] = TRACE_LINE.exec(line) ?? []
    if (ns === undefined) throw fail('it is not time,direction,size with a direction s or r')
    if (size === undefined) throw fail('it has no size')
    const bytes = Number(size)
    if (bytes < RECORD_HEAD_LENGTH || bytes > RECORD_MAX_LENGTH) {
      throw fail(`the size must be from ${RECORD_HEAD_LENGTH} to ${RECORD_MAX_LENGTH}`)
    }
    const time = Number(ns) / NS_PER_MS
    if (time < (records.at(-1)?.time ?? 0)) throw fail('time runs backwards')
    if (records.length >= MAX_CAPTURE_RECORDS) {
      throw fail(`there are more than ${MAX_CAPTURE_RECORDS} records`)
    }
    const direction = letter === 's' ? 'up' : 'down'
    records.push({ direction, time, type: ContentType.ApplicationData, bytes })
  }
  return { connection: 1, opened: 0, records, notTls: [], lost: [] }
}
