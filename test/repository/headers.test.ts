// What the heads of files promise about their own text: each promise of a kind that a text can break is looked up here.
// What a file does while it runs is for the tests of its folder.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const SOURCES = join(import.meta.dirname, '../../src')

/** Promises, and what would break them. */
const PROMISES: readonly [promise: RegExp, broken: RegExp][] = [
  [
    /\bhold code of its own|\bdefine anything (?:itself|but)/,
    /^(?:const(?! WIRES)|let|function|class)\b/m,
  ],
  [/\bdo I\/O\b/, /from 'node:(?:net|tls|dgram|fs|http|https|dns|child_process)/],
  [/\bread the environment/, /process\.env/],
  [/\bread a file: /, /from 'node:fs/],
  [/\bimport anything\b/, /^import /m],
  [/\bimport undici/, /from 'undici/],
  [/\bimport a module of Node/, /from 'node:/],
  [/\bimport from another folder/, /from '\.\.\//],
  [/\bresolve a name\b|\blook a name up\b/, /from 'node:dns|\blookup\(/],
  [/\bbe a class/, /^export class/m],
  [/\bhold anything but data/, /^(?:export )?(?:class|async function)\b|\blet\b(?=.*=)/m],
  [/\bhold state or touch bytes/, /^(?:let|class)\b|Uint8Array\(/m],
  [/\bknow a session, a wire or TLS/, /from '\.\.\/(?:session|wires|tls)/],
  [/\bload(?:ed)? (?:when|for)\b.*\bcalled for/, /^import (?!type).*-command\.ts'/m],
  [/\bopen or listen on anything/, /from 'node:(?:net|tls|http)'/],
]

const FILES = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => {
    const text = readFileSync(join(SOURCES, name), 'utf8')
    const head = /^(?:#!.*\n)?(?:\/\/.*\n)+/.exec(text)?.[0] ?? ''
    return { name, head: head.replaceAll('\n// ', ' '), body: text.slice(head.length) }
  })

describe('heads of files', () => {
  it('every file says what it is for', () => {
    expect(FILES.filter(({ head }) => head === '').map(({ name }) => name)).toEqual([])
  })

  it.each(PROMISES)('must never %s: nothing in the text breaks it', (promise, broken) => {
    const promising = FILES.filter(({ head }) => /ust never/.test(head) && promise.test(head))
    expect(promising.length).toBeGreaterThan(0)
    expect(promising.filter(({ body }) => broken.test(body)).map(({ name }) => name)).toEqual([])
  })
})
