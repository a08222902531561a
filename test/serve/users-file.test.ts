// The users file: every fault is told with its line and column, and nothing is lost on the way through it.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import { makeUser } from '../../src/serve/users/user.ts'
import type { NewUser } from '../../src/serve/users/user.ts'
import { formatUsers, parseUsers } from '../../src/serve/users/users-file.ts'

const HASH = 'ab'.repeat(32)

/** A file with these lines for users. */
function file(...users: readonly string[]): string {
  return `{"version":1,"users":[\n${users.join(',\n')}\n]}\n`
}

function problemOf(text: string): string {
  try {
    parseUsers(text)
  } catch (error) {
    if (error instanceof AnyTlsError && error.code === 'ERR_FILE') return error.message
    throw error
  }
  return 'none'
}

describe('users file', () => {
  it.each([
    ['', 'line 1, column 1: the file ends too early'],
    ['{"version":1', 'line 1, column 13: the file ends too early'],
    ['[]', 'line 1, column 1: a users file is an object with a list of users'],
    ['{"version":2,"users":[]}', 'line 1, column 12: the version is not 1'],
    ['{"users":[]}', 'line 1, column 1: the version is not 1'],
    ['{"version":1,"users":{}}', 'line 1, column 22: users is no list'],
    ['{"version":1,"users":[],"more":1}', 'line 1, column 32: "more" is not known here'],
    ['{"a\\nb":1}', 'line 1, column 9: "a\\nb" is not known here'],
    [file('{"name":"a","\\n":1}'), 'line 2, column 18: "\\n" is not known here'],
    [
      file('{"name":"a","password":"x"} {'),
      'line 2, column 29: it is not valid JSON: comma expected',
    ],
    [file('{"name":"a","password":"x",}'), /^line 2, column 28: it is not valid JSON/],
    [file('// who\n{"name":"a"}'), /^line 2, column 1: it is not valid JSON/],
    [
      file('{"name":"a","name":"b","password":"x"}'),
      'line 2, column 13: this key stands here twice',
    ],
    [file('7'), 'line 2, column 1: a user is an object'],
    [file('{"password":"x"}'), 'line 2, column 1: a user without a name'],
    [file('{"name":"a"}'), 'line 2, column 1: a user has neither password nor hash'],
    [file('{"name":"","password":"x"}'), /^line 2, column 9: name: a name neither is empty/],
    [file('{"name":"a\\u001b","password":"x"}'), /^line 2, column 9: name: .* cannot be shown/],
    [file('{"name":5,"password":"x"}'), 'line 2, column 9: name: it is not a string'],
    [file('{"name":"a","password":""}'), 'line 2, column 24: password: the password is empty'],
    [file('{"name":"a","hash":"xy"}'), /^line 2, column 20: hash: it is not the SHA-256/],
    [
      file(`{"name":"a","password":"x","hash":"${HASH}"}`),
      /^line 2, column 35: hash: it is not that of/,
    ],
    [file('{"name":"a","password":"x","quota":"1e99GB"}'), /^line 2, column 36: quota: an amount/],
    [file('{"name":"a","password":"x","quota":5}'), 'line 2, column 36: quota: it is not a string'],
    [
      file('{"name":"a","password":"x","maxUp":"1B"}'),
      /^line 2, column 36: maxUp: a rate is at least/,
    ],
    [file('{"name":"a","password":"x","maxSessions":0}'), /^line 2, column 42: maxSessions: /],
    [file('{"name":"a","password":"x","enabled":"no"}'), /^line 2, column 38: enabled: /],
    [file('{"name":"a","password":"x","expires":"soon"}'), /^line 2, column 38: expires: a date/],
    [
      file('{"name":"a","password":"x","qouta":"1GB"}'),
      'line 2, column 36: "qouta" is not known here',
    ],
    [
      file('{"name":"a","password":"x"}', '{"name":"a","password":"y"}'),
      'line 3, column 9: another user has this name',
    ],
    [
      file('{"name":"a","password":"x"}', '{"name":"b","password":"x"}'),
      'line 3, column 24: another user has this password',
    ],
    ['['.repeat(100_000), /^line 1, column \d+: /],
  ])('Issue 12, bad input: %j', (text, problem) => {
    const told = problemOf(text)
    if (typeof problem === 'string') expect(told).toBe(problem)
    else expect(told).toMatch(problem)
    // What is secret is not repeated.
    expect(told).not.toContain('"x"')
  })

  const users: fc.Arbitrary<NewUser> = fc.record(
    {
      name: fc.uuid().map((id) => `"<${id}>\\ 'é {}`),
      password: fc.uuid(),
      enabled: fc.boolean(),
      expires: fc.integer({ min: 0, max: 4e12 }),
      quota: fc.record({
        bytes: fc.integer({ min: 1, max: 2 ** 50 }),
        per: fc.constantFrom('day', 'week', 'month', 'all'),
      }),
      maxUp: fc.integer({ min: 4_000, max: 1e9 }),
      maxSessions: fc.integer({ min: 1, max: 9_999_999 }),
      allowPrivate: fc.boolean(),
      note: fc.string({ unit: 'grapheme', maxLength: 40 }),
      hashOnly: fc.boolean(),
    },
    { requiredKeys: ['name', 'password'] },
  )

  it('what is written is read as the same', () => {
    fc.assert(
      fc.property(fc.array(users, { maxLength: 5 }), (list) => {
        const made = list.map((one) => makeUser(one, 1_000))
        expect(parseUsers(formatUsers(made))).toEqual(made)
      }),
    )
  })

  it('a file that was damaged anywhere is read, or refused with a place, and never worse', () => {
    const text = formatUsers([
      makeUser({ name: 'a', quota: { bytes: 9, per: 'day' } }, 0),
      makeUser({ name: 'b', expires: 9 }, 0),
    ])
    fc.assert(
      fc.property(fc.nat(text.length), fc.nat(3), fc.string({ maxLength: 3 }), (at, cut, put) => {
        const damaged = text.slice(0, at) + put + text.slice(at + cut)
        expect(problemOf(damaged)).toMatch(/^(none|line \d+, column \d+: .+)$/)
      }),
      { numRuns: 300 },
    )
  })
})
