// Properties of the checker, of the lenient readers and of the simulation, over random schemes and workloads.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SchemeError } from '../../src/errors.ts'
import {
  checkScheme,
  formatScheme,
  parseRawScheme,
  parseScheme,
  parseSimulation,
  parseWorkload,
  type RandomInt,
  seededRandomInt,
  Shaper,
  simulate,
  simulateRuns,
  summarizeScheme,
  WIRES,
} from '../../src/shaping.ts'
import { DEFAULT_SCHEME_TEXT } from '../../src/shaping/scheme.ts'

const size = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 20_000 }))
const range = fc.tuple(size, fc.nat({ max: 50 })).map(([min, more]) => `${min}-${min + more}`)
const item = fc.oneof({ weight: 3, arbitrary: range }, fc.constant('c'))
const scheme = fc
  .record({
    stop: fc.integer({ min: 2, max: 9 }),
    restart: fc.option(fc.integer({ min: 1, max: 8 })),
    entries: fc.dictionary(
      fc.nat({ max: 10 }).map(String),
      fc.array(item, { minLength: 1, maxLength: 6 }),
      { noNullPrototype: true },
    ),
  })
  .map(({ stop, restart, entries }) =>
    [
      `stop=${stop}`,
      ...(restart === null || restart >= stop ? [] : [`restart=${restart}`]),
      ...Object.entries(entries).map(([index, items]) => `${index}=${items.join()}`),
    ].join('\n'),
  )
const words = fc.constantFrom(
  'stop',
  'restart',
  '=',
  '\n',
  ',',
  '-',
  'c',
  '0',
  '1',
  '7',
  ' ',
  '\r',
  'é',
)
const anyText = fc.oneof(
  fc.array(words, { maxLength: 40 }).map((parts) => parts.join('')),
  fc
    .tuple(fc.nat({ max: DEFAULT_SCHEME_TEXT.length }), fc.nat({ max: 4 }), words)
    .map(
      ([at, cut, word]) =>
        DEFAULT_SCHEME_TEXT.slice(0, at) + word + DEFAULT_SCHEME_TEXT.slice(at + cut),
    ),
  fc.string({ unit: 'binary' }),
)

/** The first event opens; streams are used as they are open, ends are left to the examples. */
const workload = fc
  .array(
    fc.record({
      gap: fc.nat({ max: 50 }),
      direction: fc.constantFrom('up' as const, 'down' as const),
      bytes: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 150_000 })),
      open: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((steps) => {
    let time = 0
    const events = steps.map(({ gap, direction, bytes, open }, index) => {
      time += gap / 8
      return index === 0 || open
        ? { time, direction: 'up', bytes, open: true }
        : { time, direction, bytes }
    })
    return parseWorkload(JSON.stringify({ name: 'random', events }))
  })
const wire = fc.constantFrom(...Object.values(WIRES))
const seed = fc.nat()

describe('checkScheme', () => {
  it('never throws, and finds errors in exactly those texts that parseScheme refuses', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const { problems, scheme: parsed } = checkScheme(text)
        const [first] = problems.filter(({ severity }) => severity === 'error')
        try {
          expect(parseScheme(text)).toEqual(parsed)
          expect(first).toBeUndefined()
        } catch (error) {
          if (!(error instanceof SchemeError)) throw error
          const { line, column } = error
          expect(parsed).toBeUndefined()
          expect(problems).toContainEqual(
            expect.objectContaining({ severity: 'error', line, column }),
          )
        }
        for (const { line, column, message } of problems) {
          expect(line).toBeGreaterThan(0)
          expect(column).toBeGreaterThan(0)
          expect(message).toMatch(/^[\x20-\x7e]{5,250}$/)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('every problem that is put in is found at its place, however many there are', () => {
    const faults = fc.array(fc.constantFrom('9-3', 'x', '', '5', '0-4', '1-99999', 'a b'), {
      minLength: 1,
      maxLength: 12,
    })
    // Where in the word it is told.
    const offsets = new Map(Object.entries({ '9-3': 2, 5: 1, '1-99999': 2, 'a b': 1 }))
    fc.assert(
      fc.property(faults, (items) => {
        const { problems } = checkScheme(`stop=3\n0=9-9\n1=10-20,${items.join()}\n2=9-9`)
        let column = 9
        const expected = items.map((text) => {
          const at = column + (offsets.get(text) ?? 0)
          column += text.length + 1
          return `3:${at}`
        })
        const places = problems
          .filter(({ severity }) => severity === 'error')
          .map(({ line, column: at }) => `${line}:${at}`)
        expect(places).toEqual(expected)
      }),
    )
  })
})

describe('the scheme language', () => {
  it('a canonical scheme means the same and is its own canonical form', () => {
    fc.assert(
      fc.property(scheme, (text) => {
        const parsed = parseScheme(text)
        const canonical = parseScheme(formatScheme(parsed))
        expect(canonical.stop).toBe(parsed.stop)
        expect(canonical.restart).toBe(parsed.restart)
        expect(new Map(canonical.entries)).toEqual(new Map(parsed.entries))
        expect(formatScheme(canonical)).toBe(canonical.text)
      }),
    )
  })

  it('D24: raw text of any kind gives a scheme with that very text, or a SchemeError', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        try {
          expect(parseRawScheme(text).text).toBe(text)
        } catch (error) {
          expect(error).toBeInstanceOf(SchemeError)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('D30: raw text is read by the rules of the original, read out one by one', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const { stop, entries } = originalReading(text)
        if (stop === undefined) {
          expect(() => parseRawScheme(text)).toThrow(SchemeError)
          return
        }
        try {
          const parsed = parseRawScheme(text)
          const items = [...parsed.entries].map(([index, list]) => [
            String(index),
            list.map((one) => (one.kind === 'check' ? 'c' : `${one.min}-${one.max}`)),
          ])
          expect(parsed.stop).toBe(stop)
          expect(new Map(items as [string, string[]][])).toEqual(entries)
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_SCHEME_LIMIT' })
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('the summary bounds what is drawn', () => {
    fc.assert(
      fc.property(scheme, seed, (text, number) => {
        const parsed = parseScheme(text)
        const format = { fill: zeros, alone: zeros }
        const shaper = new Shaper(parsed, seededRandomInt(number), format)
        const summary = new Map(
          summarizeScheme(parsed).delivers.map((deliver) => [deliver.index, deliver]),
        )
        shaper.deliver(zeros(1))
        for (let index = 1; index < parsed.stop; index += 1) {
          const writes = shaper.deliver(zeros(1))
          const { bytes, writes: count } = summary.get(index) ?? {}
          const sum = writes.reduce((total, { length }) => total + length, 0)
          if (bytes === undefined || count === undefined || bytes.most === 0) continue
          expect(sum).toBeGreaterThanOrEqual(bytes.least)
          expect(sum).toBeLessThanOrEqual(bytes.most)
          expect(writes).toHaveLength(count.least)
        }
      }),
    )
  })
})

describe('control frames', () => {
  it('the option changes nothing but what the scheme leaves unshaped, and conserves the data', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(scheme, sizes, (text, frames) => {
        const least: RandomInt = (min) => min
        const make = () => new Shaper(parseScheme(text), least, { fill: zeros, alone: zeros })
        const [plain, lifted] = [make(), make()]
        for (const length of frames) {
          const before = plain.deliver(zeros(length)).map((write) => write.length)
          const after = lifted
            .deliver(zeros(length), { control: true })
            .map((write) => write.length)
          expect(after).toHaveLength(before.length)
          expect(after.slice(0, -1)).toEqual(before.slice(0, -1))
          expect(after.at(-1)).toBeGreaterThanOrEqual(before.at(-1) ?? 0)
        }
        expect(lifted.nextIndex).toBe(plain.nextIndex)
      }),
    )
  })
})

describe('simulate', () => {
  it('the Writes are what the shaper gives for the same frames and the same draws', () => {
    fc.assert(
      fc.property(scheme, workload, wire, seed, (text, work, model, number) => {
        const parsed = parseScheme(text)
        const [run = []] = simulateRuns({
          scheme: parsed,
          workload: work,
          wire: model,
          seed: number,
        })
        const shaper = new Shaper(parsed, seededRandomInt(number), model.padding)
        const connection = model.connect(parsed.digest, () => shaper.authPadding())
        const expected = work.events
          .flatMap((event) => connection(event))
          .filter(({ direction }) => direction === 'up')
          .map(({ bytes, opens, control }) => {
            if (opens) shaper.streamOpened()
            const options = { control: control && model.padControl }
            return shaper.deliver(new Uint8Array(bytes), options).map((write) => write.length)
          })
        const made = run.filter(({ direction }) => direction === 'up')
        expect(made.map(({ writes }) => writes.map(({ bytes }) => bytes))).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })

  it('data is conserved, records fit, times do not fall, and the JSON is read back', () => {
    fc.assert(
      fc.property(scheme, workload, wire, seed, (text, work, model, number) => {
        const parsed = parseScheme(text)
        const simulation = simulate({
          scheme: parsed,
          downlinkScheme: parsed,
          workload: work,
          wire: model,
          seed: number,
          padControl: number % 2 === 0,
        })
        for (const direction of ['up', 'down'] as const) {
          const { data, framing, padding, latency } = simulation.summary[direction]
          const records = simulation.runs[0]!.records.filter((made) => made.direction === direction)
          const sum = records.reduce((total, { bytes }) => total + bytes, 0)
          expect(sum).toBe(data + framing + padding.most)
          expect(records.map(({ index }) => index)).toEqual(records.map((_, index) => index))
          expect(latency.least).toBeGreaterThanOrEqual(0)
        }
        const times = simulation.runs[0]!.records.map(({ time }) => time)
        expect(times).toEqual([...times].sort((a, b) => a - b))
        expect(parseSimulation(JSON.stringify(simulation))).toEqual(simulation)
      }),
      { numRuns: 60 },
    )
  })

  it('workloads of any JSON are read or refused in one line', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        for (const parse of [parseWorkload, parseSimulation]) {
          expect(() => parse(text)).toThrow(
            /^the (workload|simulation) is not valid: [^\n]{1,150}$/,
          )
        }
      }),
      { numRuns: 300 },
    )
  })
})

/** What the original makes of a text: lines and words, without a place or a limit. */
function originalReading(text: string): { stop?: number; entries: Map<string, string[]> } {
  const whole = (word = ''): number | undefined =>
    /^\+?\d+$/.test(word) ? Number(word) : undefined
  const lines = new Map<string, string>()
  for (const line of text.split('\n')) {
    const at = line.indexOf('=')
    if (at >= 0) lines.set(line.slice(0, at), line.slice(at + 1))
  }
  const entries = new Map<string, string[]>()
  for (const [key, value] of lines) {
    if (String(Number(key)) !== key || !/^\d+$/.test(key)) continue
    const items = value.split(',').flatMap((word) => {
      if (word === 'c') return ['c']
      const [first, second, ...others] = word.split('-')
      const [a, b] = [whole(first) ?? 0, whole(second) ?? 0]
      return others.length === 0 && a > 0 && b > 0 ? [`${Math.min(a, b)}-${Math.max(a, b)}`] : []
    })
    entries.set(key, items)
  }
  const stop = whole(lines.get('stop'))
  return stop === undefined ? { entries } : { stop, entries }
}

function zeros(length: number): Uint8Array {
  return new Uint8Array(length)
}
