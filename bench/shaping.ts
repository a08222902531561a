// What shaping costs: time and memory of a Deliver within the quota and past it, beside a connection that is
// never shaped. `npm run bench:shaping`.
import { randomInt } from 'node:crypto'
import { cpus } from 'node:os'
import { PADDING_FORMAT } from '../src/wires/anytls/frame-encoder.ts'
import { PADDING_FORMAT as LEGACY_PADDING_FORMAT } from '../src/wires/legacy/frame-encoder.ts'
import { Output } from '../src/engine/output.ts'
import { DEFAULT_SCHEME, parseScheme } from '../src/shaping/scheme.ts'
import type { Scheme } from '../src/shaping/scheme.ts'
import type { PaddingFormat } from '../src/shaping/shaper.ts'
import { median } from './median.ts'

const ROUNDS = 7
const DELIVERS = 200_000
/** Few enough for no collection to happen while they are counted. */
const COUNTED = 2_000

const HEAD = new Uint8Array(4)
const SMALL = new Uint8Array(200)
const LARGE = new Uint8Array(65_520)

interface Case {
  readonly name: string
  readonly payload: Uint8Array
  readonly makeOutput: () => Output
  /** After how many Delivers a new connection begins. */
  readonly lap: number
}

const NEVER = parseScheme('stop=0')
/** The built-in scheme's own Delivers, and no others. */
const LAP = DEFAULT_SCHEME.stop

const CASES: readonly Case[] = [
  fresh('within the quota, built-in scheme, v1, 200 bytes', DEFAULT_SCHEME, PADDING_FORMAT, SMALL),
  fresh(
    'within the quota, built-in scheme, original wire, 200 bytes',
    DEFAULT_SCHEME,
    LEGACY_PADDING_FORMAT,
    SMALL,
  ),
  fresh('the same connections, never shaped', NEVER, PADDING_FORMAT, SMALL),
  past('past the quota, 65,520 bytes', DEFAULT_SCHEME),
  past('never shaped, 65,520 bytes', NEVER),
]

/** Connections of eight Delivers each, one after the other. */
function fresh(name: string, scheme: Scheme, format: PaddingFormat, payload: Uint8Array): Case {
  return { name, payload, lap: LAP, makeOutput: () => shapedOutput(scheme, format) }
}

/** One connection, long past its `stop`. */
function past(name: string, scheme: Scheme): Case {
  const makeOutput = (): Output => {
    const output = shapedOutput(scheme, PADDING_FORMAT)
    for (let index = 0; index < 10; index += 1) output.deliver([HEAD, SMALL])
    output.take()
    return output
  }
  return { name, payload: LARGE, lap: Infinity, makeOutput }
}

function shapedOutput(scheme: Scheme, format: PaddingFormat): Output {
  const output = new Output()
  output.startShaping(scheme, randomInt, format)
  return output
}

/** Nanoseconds a Deliver. */
function time(measured: Case): number {
  const start = process.hrtime.bigint()
  run(measured, DELIVERS)
  return Number(process.hrtime.bigint() - start) / DELIVERS
}

/** Bytes that a Deliver leaves to the collector. */
function allocated(measured: Case): number {
  globalThis.gc?.()
  const before = process.memoryUsage()
  run(measured, COUNTED)
  const after = process.memoryUsage()
  const bytes = after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers
  return bytes / COUNTED
}

function run({ makeOutput, payload, lap }: Case, delivers: number): void {
  let output = makeOutput()
  for (let index = 1; index <= delivers; index += 1) {
    output.deliver([HEAD, payload])
    output.take()
    if (index % lap === 0) output = makeOutput()
  }
}

const figures = CASES.map((measured) => ({
  measured,
  times: [] as number[],
  bytes: [] as number[],
}))
// The first round warms up.
for (let round = 0; round <= ROUNDS; round += 1) {
  for (const { measured, times, bytes } of figures) {
    const [nanoseconds, memory] = [time(measured), allocated(measured)]
    if (round === 0) continue
    times.push(nanoseconds)
    bytes.push(memory)
  }
}

const machine = cpus()[0]?.model.trim() ?? 'unknown processor'
console.log(
  `Node ${process.version}, ${cpus().length} cores, ${machine}; ${ROUNDS} rounds, medians\n`,
)
console.log('| what | ns a Deliver | bytes allocated a Deliver |')
console.log('| --- | --- | --- |')
for (const { measured, times, bytes } of figures) {
  console.log(`| ${measured.name} | ${median(times).toFixed(0)} | ${median(bytes).toFixed(0)} |`)
}
