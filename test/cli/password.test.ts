// Where the password comes from, and what is refused.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { resolvePassword } from '../../src/cli/password.ts'
import { readSecretFile } from '../../src/serve/files.ts'

const folder = mkdtempSync(join(tmpdir(), 'password-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('password: sources', () => {
  it('-p counts before the link and the environment', () => {
    expect(resolvePassword({ option: 'a', link: 'b', environment: 'c' })).toBe('a')
  })

  it('--password-file counts before the link and the environment', () => {
    expect(resolvePassword({ file: fileWith('a\n'), link: 'b', environment: 'c' })).toBe('a')
  })

  it('the link counts before the environment', () => {
    expect(resolvePassword({ link: 'b', environment: 'c' })).toBe('b')
    expect(resolvePassword({ link: '', environment: 'c' })).toBe('c')
  })

  it('-p and --password-file together are refused', () => {
    expect(() => resolvePassword({ option: 'secret', file: 'x' })).toThrow(
      expect.objectContaining({
        code: 'ERR_OPTION_INVALID',
        message: '-p and --password-file exclude each other: give one of them',
      }),
    )
  })

  it('no password at all, or only an empty variable, is refused and says what to do', () => {
    for (const sources of [{}, { environment: '' }]) {
      expect(() => resolvePassword(sources)).toThrow(/ANYTLS_PASSWORD.*--password-file/)
    }
  })

  it('an empty -p is refused even when the environment has a password', () => {
    expect(() => resolvePassword({ option: '', environment: 'c' })).toThrow(/-p is empty/)
  })
})

describe('password: file', () => {
  it('one line end is stripped, LF or CRLF, and nothing else', () => {
    expect(readSecretFile(fileWith(' secret \n'), 'password file')).toBe(' secret ')
    expect(readSecretFile(fileWith('secret\r\n'), 'password file')).toBe('secret')
    expect(readSecretFile(fileWith('sécret'), 'password file')).toBe('sécret')
  })

  it('an empty file is refused, also when it holds a line end alone', () => {
    for (const text of ['', '\n', '\r\n']) {
      expect(() => readSecretFile(fileWith(text), 'password file')).toThrow(/is empty$/)
    }
  })

  it('more than one line is refused without showing them', () => {
    const file = fileWith('first\nsecond\n')
    expect(() => readSecretFile(file, 'password file')).toThrow(
      expect.objectContaining({
        code: 'ERR_FILE',
        message: `password file '${file}' has more than one line`,
      }),
    )
  })

  it('a missing file, a folder, bytes that are no text and a file that is too large are refused', () => {
    const problem = (path: string) => () => readSecretFile(path, 'password file')
    expect(problem(join(folder, 'none'))).toThrow(/no such file/)
    expect(problem(folder)).toThrow(/it is a folder/)
    expect(problem(fileWith(new Uint8Array([0x61, 0xff])))).toThrow(/not UTF-8/)
    expect(problem(fileWith('x'.repeat(1024 * 1024 + 1)))).toThrow(/larger than 1048576 bytes/)
  })
})

function fileWith(content: string | Uint8Array): string {
  const path = join(folder, 'secret')
  writeFileSync(path, content)
  return path
}
