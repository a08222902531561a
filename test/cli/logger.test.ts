// The log: levels, the two formats, and that nothing from outside reaches a terminal as it came.

import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { AnyTlsError, PeerCloseError } from '../../src/errors.ts'
import { describeError } from '../../src/cli/failure.ts'
import { createLog } from '../../src/cli/logger.ts'
import type { ProgramLog } from '../../src/cli/logger.ts'
import type { LogFormat, LogLevel } from '../../src/cli/options.ts'
import { escapeControls } from '../../src/cli/printable.ts'

const HOSTILE = 'a\u001b[31mb\r\nc\u0007d\u009be\u202ef\u2066g\u2028h\u007fi"\\j'
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u

describe('log: escaping', () => {
  it('control, bidi and separator characters are written as escapes', () => {
    expect(escapeControls(HOSTILE)).toBe(
      'a\\u001b[31mb\\u000d\\u000ac\\u0007d\\u009be\\u202ef\\u2066g\\u2028h\\u007fi"\\j',
    )
  })

  it('in text format neither message, value, key nor error brings a control character', () => {
    const { log, lines } = capture('text')
    log.logger.info({ [HOSTILE]: HOSTILE, deep: [{ x: HOSTILE }] }, HOSTILE)
    log.logger.warn({ err: new Error(HOSTILE) }, 'failed')
    log.announce(HOSTILE)
    expect(lines()).toHaveLength(3)
    for (const line of lines()) expect(line).not.toMatch(UNSAFE)
    expect(lines()[0]).toContain('a\\u001b[31mb\\r\\nc\\u0007d\\u009be\\u202ef')
    expect(lines()[1]).toContain('failed')
    expect(lines()[1]).toContain('\\u001b')
  })

  it('in JSON format the values are whole and the line is safe to show', () => {
    const { log, lines } = capture('json')
    log.logger.info({ value: HOSTILE }, HOSTILE)
    log.announce(HOSTILE)
    for (const line of lines()) expect(line).not.toMatch(UNSAFE)
    expect(JSON.parse(lines()[0]!)).toMatchObject({ msg: HOSTILE, value: HOSTILE })
    expect(JSON.parse(lines()[1]!)).toMatchObject({ msg: HOSTILE, level: 'info' })
  })

  it('whatever the text is, one call gives one line without unsafe characters', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.constantFrom<LogFormat>('text', 'json'),
        (text, format) => {
          const { log, lines } = capture(format)
          log.logger.info({ text }, text)
          expect(lines()).toHaveLength(1)
          expect(lines()[0]).not.toMatch(UNSAFE)
        },
      ),
    )
  })
})

describe('log: lines', () => {
  it('a text line has a time stamp, the level, the message and its fields', () => {
    const { log, lines } = capture('text')
    log.logger.warn({ target: 'example.com:443' }, 'refused')
    expect(lines()[0]).toMatch(
      /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d{4}\] WARN: refused \{"target":"example\.com:443"\}$/,
    )
  })

  it('a JSON line has the level by name and the time in ISO 8601', () => {
    const { log, lines } = capture('json')
    log.logger.error({ err: new AnyTlsError('ERR_DIAL_FAILED') }, 'no')
    const { time, ...rest } = JSON.parse(lines()[0]!) as Record<string, unknown>
    expect(new Date(String(time)).toISOString()).toBe(time)
    expect(rest).toEqual({ level: 'error', msg: 'no', err: 'the target could not be reached' })
  })

  it('below the level nothing is written, but an announced line always is, in both formats', () => {
    for (const format of ['text', 'json'] as const) {
      const { log, lines } = capture(format, 'silent')
      log.logger.error('not this')
      log.announce('listening on 127.0.0.1:8443')
      expect(lines()).toHaveLength(1)
      expect(lines()[0]).toContain('listening on 127.0.0.1:8443')
    }
    const { log, lines } = capture('text', 'silent')
    log.announce('listening on 127.0.0.1:8443')
    expect(lines()).toEqual(['listening on 127.0.0.1:8443'])
  })

  it('an error is described in one line, with the code of the system or what the peer said', () => {
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
    expect(describeError(new AnyTlsError('ERR_LINK_INVALID', 'no link'))).toBe('no link')
    expect(describeError(refused)).toBe('connect (ECONNREFUSED)')
    expect(describeError(Object.assign(new Error('no EIO'), { code: 'EIO' }))).toBe('no EIO')
    for (const cause of [refused, new AggregateError([refused])]) {
      const error = new AnyTlsError('ERR_DIAL_FAILED', 'no way', { cause })
      expect(describeError(error)).toBe('no way (ECONNREFUSED)')
    }
    expect(describeError(new PeerCloseError('ERR_STREAM_RESET', 6, 'not you'))).toBe(
      'the stream was reset (code 6): not you',
    )
    expect(describeError(new RangeError())).toBe('RangeError')
    expect(describeError('text')).toBe('text')
  })
})

function capture(
  format: LogFormat,
  level: LogLevel = 'info',
): { log: ProgramLog; lines: () => string[] } {
  let written = ''
  const destination = { write: (text: string) => void (written += text) }
  const log = createLog({ format, level, destination, colorize: false })
  return { log, lines: () => written.split('\n').slice(0, -1) }
}
