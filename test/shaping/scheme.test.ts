// The scheme language against its vectors: an own scheme strictly, a peer's by D23 and D30.
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import fixtures from '../../fixtures/scheme.json' with { type: 'json' }
import { SchemeError } from '../../src/errors.ts'
import { DEFAULT_SCHEME_LIMITS, LANGUAGE_LIMITS } from '../../src/shaping/limits.ts'
import {
  DEFAULT_SCHEME,
  DEFAULT_SCHEME_TEXT,
  encodeScheme,
  formatScheme,
  parsePeerScheme,
  parseRawScheme,
  parseScheme,
  type Scheme,
} from '../../src/shaping/scheme.ts'

/** What may be shown to people as it is, whatever was in the scheme. */
const ONE_LINE = /^line \d+, column \d+: [\x20-\x7e]{5,80}$/

describe('parseScheme', () => {
  it('D24, D28-D31: reads stop, entries and digest, and keeps the text', () => {
    for (const { name, text, stop, restart, entries, digest } of fixtures.valid) {
      expect.soft(contentOf(parseScheme(text)), name).toEqual({
        stop,
        restart,
        entries,
        text: text.replace(/\n$/, ''),
        digest,
      })
    }
  })

  it('D30, draft, Appendix A: refuses anything else, with line and column', () => {
    for (const { name, text, line, column } of fixtures.invalid) {
      const { message, ...refused } = refusal(() => parseScheme(text))
      expect.soft(refused, name).toEqual({ code: 'ERR_SCHEME_SYNTAX', line, column })
      expect.soft(message, name).toMatch(ONE_LINE)
    }
  })

  it('CRLF line ends are named in the message', () => {
    expect(() => parseScheme('stop=8\r\n')).toThrow(
      'line 1, column 7: the line ends in CRLF; it must end in LF alone',
    )
  })

  it('D10: a scheme that PADDING_UPDATE_SCHEME could not carry is refused', () => {
    const fits = schemeOfBytes(65_535)
    expect(encodeScheme(parseScheme(fits)).length).toBe(65_535)
    expect(parseScheme(`${fits}\n`).text).toBe(fits)
    const column = (fits.split('\n').at(-1)?.length ?? 0) + 1
    expect(refusal(() => parseScheme(`${fits}1`))).toMatchObject({
      code: 'ERR_SCHEME_SYNTAX',
      line: fits.split('\n').length,
      column,
    })
  })

  it('a scheme of 10 MiB is refused by its length alone', () => {
    const huge = '1=5-5\n'.repeat(2 ** 21)
    expect(refusal(() => parseScheme(huge)).message).toContain('longer than 65535 bytes')
  })

  it('the limits of the language hold for an own scheme too', () => {
    const { maxItems, maxTotalBytes } = LANGUAGE_LIMITS
    const items = (count: number) => `stop=2\n1=${Array(count).fill('5-5').join(',')}`
    expect(parseScheme(items(maxItems)).entries.get(1)).toHaveLength(maxItems)
    expect(refusal(() => parseScheme(items(maxItems + 1)))).toMatchObject({
      code: 'ERR_SCHEME_SYNTAX',
      line: 2,
      column: 3 + maxItems * 4,
    })
    const sizes = (count: number) => `stop=2\n1=${Array(count).fill('65535-65535').join(',')}`
    const most = Math.floor(maxTotalBytes / 65_535)
    expect(parseScheme(sizes(most)).entries.get(1)).toHaveLength(most)
    expect(refusal(() => parseScheme(sizes(most + 1)))).toMatchObject({ line: 2, column: 1 })
  })
})

describe('the built-in scheme', () => {
  it('D24: its digest is 75cff2ad89aadf5e257059ee571ebe11', () => {
    expect(DEFAULT_SCHEME.digest).toBe('75cff2ad89aadf5e257059ee571ebe11')
    expect(DEFAULT_SCHEME.text).toBe(DEFAULT_SCHEME_TEXT)
  })

  it('D23: it asks for 9,928 bytes at most, well inside the limits for a peer', () => {
    const within = (maxTotalBytes: number) =>
      parsePeerScheme(DEFAULT_SCHEME_TEXT, { ...DEFAULT_SCHEME_LIMITS, maxTotalBytes })
    expect(within(9928).digest).toBe(DEFAULT_SCHEME.digest)
    expect(refusal(() => within(9927))).toMatchObject({ code: 'ERR_SCHEME_LIMIT', line: 9 })
  })
})

describe('encodeScheme', () => {
  it('D24: in KV form every line ends in LF, and the digest is of the lines without the last LF', () => {
    const bytes = encodeScheme(parseScheme('stop=2\n1=5-9,c'))
    expect(new TextDecoder().decode(bytes)).toBe('stop=2\n1=5-9,c\n')
    expect(parsePeerScheme(bytes)).toEqual(parseScheme('stop=2\n1=5-9,c'))
    expect(parsePeerScheme(bytes).digest).toBe(md5(bytes.subarray(0, -1)))
  })
})

describe('parsePeerScheme', () => {
  it('D24, D30: skips unknown keys and malformed items; the digest is that of the text sent', () => {
    for (const { name, text, stop, restart, entries, digest } of fixtures.peer) {
      for (const source of [text, new TextEncoder().encode(text)]) {
        expect.soft(contentOf(parsePeerScheme(source)), name).toEqual({
          stop,
          restart,
          entries,
          text: text.replace(/\n$/, ''),
          digest,
        })
      }
    }
  })

  it('D23: refuses a scheme that is not valid, has no stop, or asks for absurd amounts', () => {
    for (const { name, text, code, line, column } of fixtures.refusedFromPeer) {
      for (const source of [text, new TextEncoder().encode(text)]) {
        const { message, ...refused } = refusal(() => parsePeerScheme(source))
        expect.soft(refused, name).toEqual({ code, line, column })
        expect.soft(message, name).toMatch(ONE_LINE)
      }
    }
  })

  it('D23: bytes that are no text are refused at the first of them', () => {
    const bytes = Uint8Array.of(...new TextEncoder().encode('stop=8\n1='), 0xff, 0x00)
    expect(refusal(() => parsePeerScheme(bytes))).toMatchObject({
      code: 'ERR_SCHEME_SYNTAX',
      line: 2,
      column: 3,
    })
  })

  it('D10, D23: 65,535 bytes with the last LF are accepted, one more is not', () => {
    const fits = new TextEncoder().encode(`${schemeOfBytes(65_535)}\n`)
    expect(parsePeerScheme(fits).stop).toBe(8)
    const tooLong = new TextEncoder().encode(`${schemeOfBytes(65_536)}\n`)
    expect(refusal(() => parsePeerScheme(tooLong)).code).toBe('ERR_SCHEME_LIMIT')
    const oneLineMore = Uint8Array.of(...fits, ...new TextEncoder().encode('x=1\n'))
    expect(refusal(() => parsePeerScheme(oneLineMore)).code).toBe('ERR_SCHEME_LIMIT')
    expect(refusal(() => parsePeerScheme(new Uint8Array(2 ** 24))).code).toBe('ERR_SCHEME_LIMIT')
  })

  it('D23: the limits are ours to set', () => {
    const limits = { ...DEFAULT_SCHEME_LIMITS, maxStop: 3, maxItems: 2, maxSize: 10 }
    expect(parsePeerScheme('stop=3\n1=1-11,c\n', limits).stop).toBe(3)
    for (const [text, line, column] of [
      ['stop=4\n', 1, 6],
      ['stop=3\n1=c,c,c\n', 2, 7],
      ['stop=3\n1=1-12\n', 2, 5],
    ] as const) {
      const error = refusal(() => parsePeerScheme(text, limits))
      expect(error).toMatchObject({ code: 'ERR_SCHEME_LIMIT', line, column })
    }
  })
})

describe('parseRawScheme', () => {
  it('D24, D30: reads what the original reads; the digest is that of the very bytes', () => {
    for (const { name, text, stop, restart, entries, digest } of fixtures.raw) {
      for (const source of [text, new TextEncoder().encode(text)]) {
        const content = { stop, restart, entries, text, digest }
        expect.soft(contentOf(parseRawScheme(source)), name).toEqual(content)
      }
    }
  })

  it('D23, D30: refuses what the original refuses, and absurd amounts', () => {
    for (const { name, text, code, line, column } of fixtures.refusedRaw) {
      const { message, ...refused } = refusal(() => parseRawScheme(text))
      expect.soft(refused, name).toEqual({ code, line, column })
      expect.soft(message, name).toMatch(ONE_LINE)
    }
    const notText = Uint8Array.of(...new TextEncoder().encode('stop=8\n#'), 0xff)
    expect(refusal(() => parseRawScheme(notText))).toMatchObject({ code: 'ERR_SCHEME_SYNTAX' })
    const long = 'stop=8\n#'.padEnd(65_536, 'x')
    expect(refusal(() => parseRawScheme(long)).code).toBe('ERR_SCHEME_LIMIT')
    expect(parseRawScheme(long.slice(0, -1)).stop).toBe(8)
    expect(refusal(() => parseRawScheme(new Uint8Array(2 ** 24))).code).toBe('ERR_SCHEME_LIMIT')
  })

  it('D24: a byte order mark stays in the digest, and 65,535 bytes are read', () => {
    const text = '\ufeff\nstop=8\n#'.padEnd(65_533, 'x')
    const bytes = new TextEncoder().encode(text)
    expect(bytes).toHaveLength(65_535)
    expect(parseRawScheme(bytes)).toMatchObject({ stop: 8, text, digest: md5(bytes) })
  })
})

describe('formatScheme', () => {
  it('puts stop first, then restart, then the entries by index', () => {
    const text = '10=c\n2=6-6,c,7-8\nrestart=2\nstop=11\n0=1-2'
    expect(formatScheme(parseScheme(text))).toBe('stop=11\nrestart=2\n0=1-2\n2=6-6,c,7-8\n10=c')
    expect(formatScheme(DEFAULT_SCHEME)).toBe(DEFAULT_SCHEME_TEXT)
  })
})

/** A valid scheme that takes `bytes` bytes in KV form, so one less without its last LF. */
function schemeOfBytes(bytes: number): string {
  let text = 'stop=8'
  for (let index = 1; text.length + 40 < bytes; index++) text += `\n${index}=5-5`
  text += '\n1000000=c'
  while (text.length + 2 < bytes) text += ',c'
  return text.length + 1 < bytes ? text.replace('1=5-5', '1=5-55') : text
}

/** A scheme in the form that the vectors have. */
function contentOf({ stop, restart, entries, text, digest }: Scheme) {
  const plain = [...entries].map(([index, items]) => [
    index,
    items.map((item) => (item.kind === 'check' ? 'c' : `${item.min}-${item.max}`)),
  ])
  return { stop, restart, entries: plain, text, digest }
}

function refusal(parse: () => unknown): {
  code: string
  line: number
  column: number
  message: string
} {
  try {
    parse()
  } catch (error) {
    if (!(error instanceof SchemeError)) throw error
    const { code, line, column, message } = error
    return { code, line, column, message }
  }
  throw new Error('the scheme was accepted')
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex')
}
