// What the Go client writes under a padding scheme, and what our machine of the same wire does.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Machine } from '../../../src/engine/machine.ts'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { legacyClient } from '../../../src/wires/legacy/client.ts'
import { DEFAULT_LEGACY_TIMEOUTS } from '../../../src/wires/legacy/config.ts'
import { parseRawScheme } from '../../../src/shaping/scheme.ts'
import { seededRandomInt } from '../../support/seeded-random.ts'
import { goProgram } from './go-build.ts'

/** What a client does on one connection. */
export interface Script {
  readonly scheme: string
  /** Length of the name in the target, which decides how long Deliver 1 is. */
  readonly targetName: number
  /** What follows: that many bytes on the stream, an answer to a heartbeat, the end of the stream. */
  readonly steps: readonly (number | 'heartbeat' | 'close')[]
}

/** For each run, for each Deliver, the bytes of each Write. */
export type Runs = readonly (readonly (readonly number[])[])[]

/** What the Go client may take for it, in ms, before it is ended. */
const PATIENCE = 20_000

/** Lets the Go client do it, `runs` times, each on a connection of its own. */
export async function shapeWithGo({ scheme, targetName, steps }: Script, runs: number) {
  const child = spawn(goProgram.path, ['shape'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: PATIENCE,
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const words = steps.map((step) => (typeof step === 'number' ? `write ${step}` : step))
  child.stdin.end(JSON.stringify({ scheme, targetName, steps: words, runs }))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0 || !stderr.includes('Update padding succeed')) throw new Error(stderr)
  return JSON.parse(stdout) as {
    /** Bytes of each Deliver without padding. */
    readonly delivers: readonly number[]
    readonly runs: Runs
  }
}

/** As long as what the Go module calls itself, so that the settings have the same length. */
const NAME = 'sing-anytls/0.0.11'
const PASSWORD_HASH = new Uint8Array(32)
const HEARTBEAT = Uint8Array.of(8, 0, 0, 0, 0, 0, 0)

/** Lets our machine do the same; the draws follow from `seed`. */
export function shapeWithOurs({ scheme, targetName, steps }: Script, runs: number, seed: number) {
  const randomInt = seededRandomInt(seed)
  const parsed = parseRawScheme(scheme)
  return Array.from({ length: runs }, () => {
    const machine = legacyClient(
      {
        passwordHash: PASSWORD_HASH,
        scheme: parsed,
        name: NAME,
        randomInt,
        timeouts: DEFAULT_LEGACY_TIMEOUTS,
        maxStreams: 1,
      },
      0,
    )
    const delivers: number[][] = []
    const take = () => delivers.push(machine.takeWrites().map(({ bytes }) => bytes))
    const stream = machine.openStream(0)
    take()
    send(machine, stream, targetName + 4)
    take()
    for (const step of steps) {
      if (step === 'heartbeat') machine.receive(HEARTBEAT, 0)
      else if (step === 'close') machine.resetStream(stream, CloseCode.Graceful, '', 0)
      else send(machine, stream, step)
      take()
    }
    return delivers
  })
}

function send(machine: Machine, stream: number, bytes: number): void {
  machine.sendData(stream, [new Uint8Array(bytes)], bytes, 0)
}

/** Sizes of one Write of one Deliver, over all runs that have it. */
export function sizesOf(runs: Runs, deliver: number, write: number): number[] {
  return runs.flatMap((delivers) => delivers[deliver]?.[write] ?? [])
}

/** How many Writes a Deliver became, over all runs. */
export function countsOf(runs: Runs, deliver: number): number[] {
  return runs.map((delivers) => delivers[deliver]?.length ?? 0)
}

/** Largest distance between the two empirical distribution functions (Kolmogorov and Smirnov). */
export function ksDistance(first: readonly number[], second: readonly number[]): number {
  const [a, b] = [first, second].map((values) => values.toSorted((x, y) => x - y))
  const values = [...new Set([...first, ...second])].sort((x, y) => x - y)
  let [i, j, distance] = [0, 0, 0]
  for (const value of values) {
    while (i < a!.length && a![i]! <= value) i += 1
    while (j < b!.length && b![j]! <= value) j += 1
    distance = Math.max(distance, Math.abs(i / a!.length - j / b!.length))
  }
  return distance
}

/**
 * The distance that two samples of one distribution exceed with probability `alpha`, by the asymptotic
 * formula; it is less often for discrete values such as sizes.
 */
export function ksThreshold(first: number, second: number, alpha: number): number {
  return Math.sqrt((-Math.log(alpha / 2) / 2) * ((first + second) / (first * second)))
}
