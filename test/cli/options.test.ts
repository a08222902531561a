// What options are taken for.

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parseListen, parseServer } from '../../src/cli/options.ts'
import { makePassword } from '../../src/serve/users/user.ts'
import { runProgram, stop } from './run-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'options-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('-l', () => {
  it('a port alone, with or without its colon, is every address of the machine', async () => {
    for (const text of ['443', ':443']) {
      expect(parseListen(text)).toEqual({
        host: expect.stringMatching(/^(?:::|0\.0\.0\.0)$/) as unknown,
        port: 443,
      })
    }
    const program = runProgram(['server', '-l', ':0', '-p', 'x', '--state-dir', folder])
    const [, port] = await program.said(/listening on (?:\[::\]|0\.0\.0\.0):(\d+)/)
    // Not the address that it was bound to, but one of this machine, of the other family perhaps.
    const visitor = connect(Number(port), '127.0.0.1')
    await once(visitor, 'connect')
    visitor.destroy()
    await stop(program)
  })

  it('anything else is what it says', () => {
    expect(parseListen('127.0.0.1:1')).toEqual({ host: '127.0.0.1', port: 1 })
    expect(parseListen('[::1]:1')).toEqual({ host: '::1', port: 1 })
    expect(parseListen('b\u00fccher.example:1')).toEqual({ host: 'xn--bcher-kva.example', port: 1 })
  })
})

describe('-s', () => {
  it('a link in the quotes or between the spaces that it was copied with', () => {
    const link = 'anytls://letmein@example.com:1/?insecure=1'
    const is = { host: 'example.com', port: 1, password: 'letmein', insecure: true }
    for (const text of [
      ...[`"${link}"`, `'${link}'`, `<${link}>`, `\`${link}\``, `\u201c${link}\u201d`],
      ...[` ${link}\r\n`, `\ufeff${link}`, `"${link}"\n`],
    ]) {
      expect(parseServer(text), text).toEqual(is)
    }
    expect(parseServer(' example.com:1 ')).toEqual({
      host: 'example.com',
      port: 1,
      insecure: false,
    })
  })
})

describe('passwords that are made here', () => {
  it('need no escaping anywhere', () => {
    const passwords = Array.from({ length: 200 }, makePassword)
    for (const password of passwords) expect(password).toMatch(/^[A-Za-z0-9_-]{22}$/)
    expect(new Set(passwords).size).toBe(200)
  })
})
