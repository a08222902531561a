// The checker: each fault that can be put into a scheme is found, at its place, and nothing else is.
import { describe, expect, it } from 'vitest'
import fixtures from '../../fixtures/scheme.json' with { type: 'json' }
import { PADDING_FORMAT as V1_PADDING } from '../../src/wires/anytls/frame-encoder.ts'
import { PADDING_FORMAT as LEGACY_PADDING } from '../../src/wires/legacy/frame-encoder.ts'
import { checkScheme, SHORTEST_PADDING, type SchemeRule } from '../../src/shaping/scheme-check.ts'
import { DEFAULT_SCHEME, DEFAULT_SCHEME_TEXT, parseScheme } from '../../src/shaping/scheme.ts'

const OF_8 = DEFAULT_SCHEME_TEXT.split('\n')

describe('checkScheme', () => {
  it('finds nothing in the built-in scheme', () => {
    expect(checkScheme(DEFAULT_SCHEME_TEXT)).toEqual({ problems: [], scheme: DEFAULT_SCHEME })
    expect(checkScheme(`${DEFAULT_SCHEME_TEXT}\n`).problems).toEqual([])
  })

  it('finds errors in exactly what parseScheme refuses, the same first one', () => {
    for (const { name, text, line, column } of fixtures.invalid) {
      const { problems, scheme } = checkScheme(text)
      expect.soft(scheme, name).toBeUndefined()
      const errors = problems.filter(({ severity }) => severity === 'error')
      expect.soft(errors, name).toContainEqual(expect.objectContaining({ line, column }))
    }
    for (const { name, text } of fixtures.valid) {
      const { problems, scheme } = checkScheme(text)
      expect.soft(scheme, name).toEqual(parseScheme(text))
      expect
        .soft(
          problems.filter(({ severity }) => severity === 'error'),
          name,
        )
        .toEqual([])
    }
  })

  it('tells every error of every line, not the first alone', () => {
    const text = 'stop=08\r\n1=400-100, 5-5,x\n\n1=5-5\nkey=1-2\n2\nrestart=0\n3=0-5,1-99999'
    expect(placesOf(text, 'syntax')).toEqual([
      '1:6',
      '1:8',
      '2:7',
      '2:11',
      '2:16',
      '3:1',
      '4:1',
      '5:1',
      '6:2',
      '7:9',
      '8:3',
      '8:9',
    ])
  })

  it('D29: an index at or above stop is odd', () => {
    expect(oddities([...OF_8, '8=5-50', '12=c'])).toEqual([
      '10:1 unused-entry',
      '11:1 unused-entry',
    ])
    expect(placesOf('stop=0\n0=30-30', 'unused-entry')).toEqual([])
  })

  it('D29: gaps below stop are odd, and told together', () => {
    const { problems } = checkScheme('stop=12\n0=9-9\n2=9-9\n3=9-9\n6=9-9\n20=9-9')
    expect(problems[0]).toEqual({
      severity: 'warning',
      rule: 'gap',
      line: 1,
      column: 6,
      message: 'no entry for index 1, 4 to 5, 7 to 11: such a Deliver passes as it is',
    })
    expect(messagesOf('stop=1\n', 'gap')).toEqual([
      'index 0 has no entry: AUTH goes without padding',
    ])
    expect(messagesOf('0=5-9\nstop=4294967295', 'gap')).toEqual([
      'no entry for index 1 to 4294967294: such a Deliver passes as it is',
    ])
    const many = Array.from({ length: 40 }, (_, index) => `${2 * index + 2}=9-9`)
    expect(messagesOf(['stop=82', '0=9-9', ...many].join('\n'), 'gap')).toEqual([
      'no entry for index 1, 3, 5, 7, 9, 11, 13, 15 and 33 more: such a Deliver passes as it is',
    ])
  })

  it('D28: more than one range, and c, are odd at index 0', () => {
    const lines = OF_8.map((line) => (line === '0=30-30' ? '0=30-30,c,40-50,60-70' : line))
    expect(oddities(lines)).toEqual(['2:9 index-0', '2:11 index-0', '2:17 index-0'])
  })

  it('D33: a size above one TLS record is odd, and AUTH that needs two of them', () => {
    expect(oddities(withEntry('1=400-16385,16384-16384'))).toEqual([])
    expect(oddities(withEntry('1=400-16386'))).toEqual(['3:3 above-record'])
    expect(placesOf('stop=2\n0=9-9\n1=9-16385,9-16386,16385-16385', 'above-record')).toEqual([
      '3:11',
      '3:19',
    ])
    expect(placesOf('stop=1\n0=9-16001', 'above-record')).toEqual([])
    expect(placesOf('stop=1\n0=9-16002', 'above-record')).toEqual(['2:3'])
  })

  it('legacy wire: AUTH padding that the Go reference does not manage in one record is odd', () => {
    expect(placesOf('stop=1\n0=9-1153', 'reference-limit')).toEqual([])
    expect(placesOf('stop=1\n0=9-1154', 'reference-limit')).toEqual(['2:3'])
    expect(placesOf('stop=1\n0=9-9,9-2000', 'reference-limit')).toEqual([])
    expect(placesOf('stop=2\n1=9-2000', 'reference-limit')).toEqual([])
  })

  it('D22, D32: a size that no padding frame of a wire fits is odd', () => {
    const text = 'stop=2\n0=1-1\n1=2-90,3-90,7-90,8-90'
    expect(placesOf(text, 'below-frame')).toEqual(['3:3', '3:8', '3:13'])
    expect(messagesOf(text, 'below-frame')).toEqual([
      'no padding frame of either wire fits below 3 bytes',
      'no padding frame of the original wire fits below 8 bytes',
      'no padding frame of the original wire fits below 8 bytes',
    ])
  })

  it('D22, D32: the shortest padding frames are those of the wires', () => {
    for (const [format, shortest] of [
      [V1_PADDING, SHORTEST_PADDING.v1],
      [LEGACY_PADDING, SHORTEST_PADDING.legacy],
    ] as const) {
      expect(format.fill(shortest)).toHaveLength(shortest)
      expect(format.fill(shortest - 1)).toBeUndefined()
    }
  })

  it('D31: c first, doubled or last is odd', () => {
    expect(placesOf('stop=2\n0=9-9\n1=c,c,9-9,c,c,c,9-9,c', 'idle-c')).toEqual([
      '3:3',
      '3:5',
      '3:13',
      '3:15',
      '3:21',
    ])
    expect(messagesOf('stop=2\n0=9-9\n1=9-9,c,c', 'idle-c')).toEqual([
      'nothing comes behind "c": it has no effect',
      '"c" directly behind "c" has no effect',
    ])
    expect(placesOf('stop=2\n0=9-9\n1=9-9,c,9-9', 'idle-c')).toEqual([])
  })

  it('a restart without an entry from there on is odd', () => {
    expect(placesOf('restart=3\nstop=5\n0=9-9\n2=9-9\n5=9-9', 'idle-restart')).toEqual(['1:9'])
    expect(placesOf('restart=3\nstop=5\n0=9-9\n4=9-9', 'idle-restart')).toEqual([])
  })

  it('D23: what clients refuse by default is odd', () => {
    const items = Array(129).fill('c').join()
    expect(placesOf(`stop=4097\n0=9-9\n1=${items}`, 'peer-limit')).toEqual(['1:6', '3:259'])
    const large = Array(17).fill('65535-65535').join()
    expect(placesOf(`stop=2\n0=9-9\n1=${large}`, 'peer-limit')).toEqual(['3:1'])
    const restarted = 'stop=3\nrestart=2\n0=9-9\n1=60000-60000\n2=60000-60000,6000-6000'
    expect(messagesOf(restarted, 'peer-limit')).toEqual([
      'clients refuse this by default: with this entry, each restart takes more than 65536 bytes',
    ])
  })

  it('says what is wrong with an item', () => {
    const said = [
      'C',
      'cc',
      'x',
      '-5',
      '0-5',
      '05-9',
      '5',
      '5x',
      '5-',
      '5-0',
      '5-09',
      '5-9x',
      '9-5',
    ]
    const messages = said.map((item) => messagesOf(`stop=2\n0=9-9\n1=${item}`, 'syntax'))
    const digits = 'an item is a range such as 100-400, or c'
    const least = 'a size is at least 1'
    const zeros = 'a number has no leading zeros'
    expect(messages.map(([message]) => message)).toEqual([
      'the item "c" is a small letter',
      'the item "c" stands alone',
      ...[digits, digits, least, zeros],
      'one number is no range; an exact size is written as 400-400',
      'a range is two numbers joined by "-"',
      'the range has no second number',
      ...[least, zeros],
      'the range goes on behind its second number',
      'the range is reversed',
    ])
    expect(messages.every(({ length }) => length === 1)).toBe(true)
  })

  it('says what is odd, and what follows from it', () => {
    const said = (text: string) => checkScheme(text).problems.map(({ message }) => message)
    expect(said('stop=2\n0=9-9,c,9-9\n1=9-9')).toEqual([
      '"c" means nothing at index 0',
      'only the first range of index 0 counts',
    ])
    expect(said('stop=1\n0=9-16002')).toContain(
      'above 16000 bytes, the first Deliver needs a second TLS record',
    )
    expect(said('stop=2\n0=9-9\n1=9-16386')).toEqual([
      'above 16384 bytes, a Write leaves as more than one TLS record',
    ])
    expect(said('stop=3\nrestart=2\n0=9-9\n1=9-9')).toContain(
      'no entry from there on: a restart has no effect',
    )
  })

  it('gaps are told in order, whatever the order of the lines, and counted to the last', () => {
    const gap = (numbers: string) => [
      `no entry for index ${numbers}: such a Deliver passes as it is`,
    ]
    expect(messagesOf('stop=5\n4=9-9\n0=9-9\n1=9-9', 'gap')).toEqual(gap('2 to 3'))
    expect(messagesOf('stop=4\n0=9-9\n3=9-9\n2=9-9\n1=9-9\n9=9-9', 'gap')).toEqual([])
    expect(messagesOf('stop=0\n', 'gap')).toEqual([])
    const odd = (count: number) => Array.from({ length: count }, (_, at) => `${2 * at + 2}=9-9`)
    const eight = ['stop=17', '0=9-9', ...odd(8)].join('\n')
    expect(messagesOf(eight, 'gap')).toEqual(gap('1, 3, 5, 7, 9, 11, 13, 15'))
  })

  it('a restart that takes all it may is none too many', () => {
    const restarted = (last: number) =>
      `stop=4\nrestart=2\n0=9-9\n1=60000-60000\n2=60000-60000\n3=1-${last}`
    expect(placesOf(restarted(5_537), 'peer-limit')).toEqual([])
    expect(placesOf(restarted(5_538), 'peer-limit')).toEqual(['6:1'])
    expect(placesOf(`${restarted(5_538)}\n`.replace('3=', '5=9-9\n3='), 'peer-limit')).toEqual([
      '7:1',
    ])
  })

  it('an index is at most 4,294,967,295', () => {
    expect(placesOf('stop=1\n0=9-9\n4294967295=9-9', 'syntax')).toEqual([])
    expect(placesOf('stop=1\n0=9-9\n4294967296=9-9', 'syntax')).toEqual(['3:1'])
  })

  it('an error keeps warnings about the same place quiet', () => {
    expect(checkScheme('stop=4294967296').problems.map(({ rule }) => rule)).toEqual(['syntax'])
  })

  it('a scheme of 10 MiB is one problem, found at once', () => {
    const { problems } = checkScheme('1=5-5,,\n'.repeat(2 ** 20))
    expect(problems).toHaveLength(1)
    expect(problems[0]?.message).toBe('the scheme is longer than 65535 bytes')
  })
})

/** The built-in scheme with another entry 1. */
function withEntry(entry: string): string[] {
  return OF_8.map((line) => (line.startsWith('1=') ? entry : line))
}

/** All problems, none of them an error, as `line:column rule`. */
function oddities(lines: readonly string[]): string[] {
  const { problems, scheme } = checkScheme(lines.join('\n'))
  expect(scheme).toBeDefined()
  return problems.map(({ line, column, rule }) => `${line}:${column} ${rule}`)
}

function placesOf(text: string, rule: SchemeRule): string[] {
  return checkScheme(text)
    .problems.filter((problem) => problem.rule === rule)
    .map(({ line, column }) => `${line}:${column}`)
}

function messagesOf(text: string, rule: SchemeRule): string[] {
  return checkScheme(text)
    .problems.filter((problem) => problem.rule === rule)
    .map(({ message }) => message)
}
