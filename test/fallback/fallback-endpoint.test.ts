// Fallback endpoints as people write them.
import { describe, expect, it } from 'vitest'
import { parseFallbackEndpoint } from '../../src/fallback/fallback-endpoint.ts'
import { errorOf } from '../codec/vectors.ts'

const VALID = [
  ['http://127.0.0.1:8080', '127.0.0.1', 8080],
  ['http://127.0.0.1:8080/', '127.0.0.1', 8080],
  ['HTTP://backend.internal', 'backend.internal', 80],
  ['http://[::1]:3000/', '::1', 3000],
  ['http://[2001:DB8:0::1]', '2001:db8::1', 80],
  ['tcp://backend:9000', 'backend', 9000],
  ['tcp://[::1]:9000', '::1', 9000],
  ['localhost:8080', 'localhost', 8080],
  ['[::1]:8080', '::1', 8080],
  ['http:81', 'http', 81],
] as const

const INVALID = [
  ['', 'host is missing'],
  ['https://127.0.0.1:8443', 'TLS to a fallback is not possible'],
  ['unix:///run/web.sock', 'cannot be unix://'],
  ['ws://127.0.0.1:80', 'cannot be ws://'],
  ['http://127.0.0.1:8080/app', 'no path'],
  ['http://127.0.0.1:8080//', 'no path'],
  ['http://127.0.0.1:8080?x', 'no path'],
  ['tcp://127.0.0.1:80/', 'no path'],
  ['tcp://127.0.0.1', 'port is missing'],
  ['127.0.0.1', 'port is missing'],
  ['http://127.0.0.1:0', 'port 0'],
  ['http://127.0.0.1:65536', '0 to 65535'],
  ['http://127.0.0.1:', '0 to 65535'],
  ['http://', 'host is missing'],
  ['http://user@host:80', 'a name has only'],
  ['::1:8080', 'is not an address'],
  ['a\u001b[31m:80', 'is not an address'],
  ['a\nb:80', 'a name has only'],
] as const

describe('fallback endpoint', () => {
  for (const [text, host, port] of VALID) {
    it(`D15: the fallback ${text} is ${host}, port ${port}`, () => {
      expect(parseFallbackEndpoint(text)).toEqual({ host, port })
    })
  }

  for (const [text, reason] of INVALID) {
    it(`D15: the fallback ${JSON.stringify(text)} is refused in one line (${reason})`, () => {
      const error = errorOf(() => parseFallbackEndpoint(text))
      expect(error.code).toBe('ERR_OPTION_INVALID')
      expect(error.message).toContain(reason)
      expect(error.message).toMatch(/^[\x20-\x7e]+$/)
    })
  }

  it('D15: a fallback that is endlessly long is refused with a short line', () => {
    expect(errorOf(() => parseFallbackEndpoint('x'.repeat(100_000))).message.length).toBeLessThan(
      200,
    )
    expect(
      errorOf(() => parseFallbackEndpoint(`${'x'.repeat(100_000)}://y:1`)).message.length,
    ).toBeLessThan(200)
  })
})
