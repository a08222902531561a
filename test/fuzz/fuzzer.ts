// Makes inputs out of the vectors in fixtures/: bytes changed, cut, joined, repeated, with numbers that are on some edge.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RandomInt } from '../../src/shaping/shaper.ts'

const FIXTURES = join(import.meta.dirname, '../../fixtures')
const MOST = 4_096

/** All that fixtures/ has, as bytes: hex in its short form, and text as it is. */
export function readCorpus(): Uint8Array[] {
  const found = new Map<string, Uint8Array>([['', new Uint8Array(0)]])
  for (const entry of readdirSync(FIXTURES, { recursive: true, encoding: 'utf8' })) {
    if (!entry.endsWith('.json')) continue
    const file = readFileSync(join(FIXTURES, entry), 'utf8')
    if (file.length <= MOST) found.set(file, Buffer.from(file))
    for (const text of textsIn(JSON.parse(file))) {
      for (const bytes of [bytesOf(text), Buffer.from(text)]) {
        if (bytes !== undefined && bytes.length <= MOST) {
          found.set(Buffer.from(bytes).toString('latin1'), bytes)
        }
      }
    }
  }
  return [...found.values()]
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(textsIn) : []
}

/** Hex in words, of which `61*1000` is a run. */
function bytesOf(text: string): Uint8Array | undefined {
  const words = text.split(/\s+/)
  if (!words.every((word) => /^(?:[\da-f]{2})+(?:\*\d+)?$/.test(word))) return undefined
  const parts = words.map((word) => {
    const [hex = '', times = '1'] = word.split('*')
    return Buffer.from(hex.repeat(Math.min(Number(times), MOST)), 'hex')
  })
  return Buffer.concat(parts)
}

const EDGES = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xfe, 0xff, 10, 13, 32, 48, 61]

/** One input: a member of the corpus after up to six changes. */
export function mutate(corpus: readonly Uint8Array[], random: RandomInt): Uint8Array {
  const pick = (): Uint8Array => corpus[random(0, corpus.length)]!
  let bytes = Buffer.from(pick())
  for (let count = random(0, 7); count > 0; count -= 1) {
    const at = random(0, bytes.length + 1)
    const end = Math.min(at + random(0, 9), bytes.length)
    const [front, middle, back] = [
      bytes.subarray(0, at),
      bytes.subarray(at, end),
      bytes.subarray(end),
    ]
    switch (random(0, 7)) {
      case 0:
        bytes = Buffer.concat([front, Uint8Array.of(random(0, 256)), back])
        break
      case 1:
        bytes = Buffer.concat([front, Uint8Array.of(EDGES[random(0, EDGES.length)]!), back])
        break
      case 2:
        bytes = Buffer.concat([front, back])
        break
      case 3:
        bytes = Buffer.concat([front, middle, middle, middle, back])
        break
      case 4:
        bytes = Buffer.from(front)
        break
      case 5:
        bytes = Buffer.concat([front, pick()])
        break
      default:
        bytes = Buffer.concat([front, middle.map((byte) => byte ^ (1 << random(0, 8))), back])
    }
  }
  return bytes.subarray(0, MOST)
}
