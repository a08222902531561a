import { describe, expect, it } from 'vitest'
import { credentialsCheck } from '../../../src/proxy/inbound/credentials.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)

describe('credentials of the local port', () => {
  it('only the right pair is right, also where one is part of the other', () => {
    const check = credentialsCheck({ username: 'älice', password: 's:cret' })
    expect(check(utf8('älice'), utf8('s:cret'))).toBe(true)
    for (const [username, password] of [
      ['älice', 's:cre'],
      ['älice', 's:cret\0'],
      ['älic', 'es:cret'],
      ['ÄLICE', 's:cret'],
      ['', ''],
    ] as const) {
      expect(check(utf8(username), utf8(password)), `${username} ${password}`).toBe(false)
    }
  })

  it('credentials that no program could give are ERR_OPTION_INVALID', () => {
    for (const [username, password] of [
      ['', 'x'],
      ['a:b', 'x'],
      ['a'.repeat(256), 'x'],
      ['ä'.repeat(128), 'x'],
      ['a', 'x'.repeat(256)],
    ] as const) {
      expect(() => credentialsCheck({ username, password })).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION_INVALID' }),
      )
    }
    expect(() => credentialsCheck({ username: 'a'.repeat(255), password: '' })).not.toThrow()
  })
})
