import { describe, expect, it } from 'vitest'
import { AnyTlsError, ERROR_TEXT, PeerCloseError } from '../../src/errors.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import { failureOf, FAILURES, reportFailure } from '../../src/proxy/failure.ts'
import type { Failure } from '../../src/proxy/failure.ts'
import { encodeTextBlock } from '../../src/codec/text-block.ts'

const kinds = Object.keys(FAILURES) as Failure[]

const reset = (code: number, reason?: string) =>
  new PeerCloseError('ERR_STREAM_RESET', code, reason)
const dialError = (...codes: string[]) => {
  const errors = codes.map((code) => Object.assign(new Error(code), { code }))
  const cause = errors.length === 1 ? errors[0] : new AggregateError(errors)
  return new AnyTlsError('ERR_DIAL_FAILED', undefined, { cause })
}

describe('failures', () => {
  it('D21: what the server tells of a failure, the client understands as the same', () => {
    for (const kind of kinds.filter((name) => name !== 'general')) {
      const { closeCode, reason } = FAILURES[kind]
      expect(failureOf(reset(closeCode, reason)), kind).toBe(kind)
    }
  })

  it('every reason is a TEXT block, and no two are the same', () => {
    const reasons = kinds.map((kind) => FAILURES[kind].reason)
    for (const reason of reasons) expect(() => encodeTextBlock(reason)).not.toThrow()
    expect(new Set(reasons).size).toBe(reasons.length)
  })

  it('a system error is told as what it is', () => {
    const expected: Record<string, Failure> = {
      ECONNREFUSED: 'refused',
      ETIMEDOUT: 'timeout',
      EHOSTUNREACH: 'host-unreachable',
      ENETUNREACH: 'network-unreachable',
      ENOTFOUND: 'name-not-found',
      EAI_AGAIN: 'name-not-found',
      EMFILE: 'general',
    }
    for (const [code, kind] of Object.entries(expected)) {
      expect(failureOf(dialError(code)), code).toBe(kind)
    }
  })

  it('of several system errors the most telling counts', () => {
    expect(failureOf(dialError('ENETUNREACH', 'ECONNREFUSED'))).toBe('refused')
    expect(failureOf(dialError('ENETUNREACH', 'ETIMEDOUT', 'EHOSTUNREACH'))).toBe('timeout')
    expect(failureOf(new AnyTlsError('ERR_DIAL_FAILED'))).toBe('general')
  })

  it('RFC 1928, section 6: SOCKS replies', () => {
    const replies = Object.fromEntries(kinds.map((kind) => [kind, FAILURES[kind].socksReply]))
    expect(replies).toEqual({
      refused: 5,
      timeout: 4,
      'host-unreachable': 4,
      'network-unreachable': 3,
      'name-not-found': 4,
      rejected: 2,
      malformed: 1,
      general: 1,
    })
  })

  it('HTTP: a timeout is 504, a refusal by policy 403, all else 502', () => {
    for (const kind of kinds) {
      const expected = { timeout: 504, rejected: 403 }[kind as string] ?? 502
      expect(FAILURES[kind].httpStatus, kind).toBe(expected)
    }
  })

  it('a time limit on the way to the server or to the target is a timeout', () => {
    const codes: ErrorCode[] = [
      'ERR_CONNECT_TIMEOUT',
      'ERR_CONNECTION_TIMEOUT',
      'ERR_DIAL_TIMEOUT',
      'ERR_PING_TIMEOUT',
      'ERR_STREAM_OPEN_TIMEOUT',
      'ERR_STREAM_TIMEOUT',
    ]
    for (const code of codes) expect(failureOf(new AnyTlsError(code)), code).toBe('timeout')
  })

  it('D7: a bare RST, as without mux1, says nothing about the target: general', () => {
    expect(failureOf(reset(CloseCode.Graceful))).toBe('general')
    expect(failureOf(reset(4711, 'connection refused'))).toBe('general')
    expect(failureOf(reset(CloseCode.DestinationUnreachable, 'words of another program'))).toBe(
      'host-unreachable',
    )
  })

  it('the words of servers of the original wire are understood where they are clear', () => {
    const told = (reason: string) => failureOf(reset(CloseCode.DestinationUnreachable, reason))
    expect(told('dial tcp 127.0.0.1:1: connect: connection refused')).toBe('refused')
    expect(told('dial tcp [2001:db8::1]:80: connect: network is unreachable')).toBe(
      'network-unreachable',
    )
    expect(told('dial tcp 10.0.0.1:80: connect: no route to host')).toBe('host-unreachable')
    expect(told('lookup a.invalid: no such host')).toBe('name-not-found')
    expect(told('dial tcp 10.0.0.1:80: i/o timeout')).toBe('timeout')
  })

  it('a server that cannot be reached is 502 and reply 1, when no time limit says more', () => {
    const codes: ErrorCode[] = ['ERR_CONNECT_FAILED', 'ERR_SESSION_CLOSED', 'ERR_POOL_CLOSED']
    for (const code of codes) {
      expect(reportFailure(new AnyTlsError(code))).toMatchObject({ httpStatus: 502, socksReply: 1 })
    }
    for (const error of [undefined, null, 'text', new Error('other'), ...Object.keys(ERROR_TEXT)]) {
      expect(failureOf(error)).toBe('general')
    }
  })
})
