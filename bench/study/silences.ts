// What passes on a connection once nothing has for a while, and what an onlooker without examples makes of the times.
import { areaAlone } from '../../src/harness/compare/evaluate.ts'
import { sequenceOf } from '../../src/harness/compare/features.ts'
import type { Run } from '../../src/harness/report/source.ts'

/** No record for that long, in ms: the silence has begun. */
const SILENCE = 4_000
/** How often connections are kept alive by the clock, in ms, and how far off an onlooker lets a silence be. */
const USUAL = 15_000
const OFF = 500
/** Silences in a row that are no chance. */
const ENOUGH = 3

/**
 * What comes behind the first silence, which every connection has, behind a mark at its beginning that is the same for
 * all: a connection on which nothing comes has no record otherwise. `undefined` for connections that ended before.
 *
 * @param kept for how long the connection was left alone, in ms; the last two seconds are not looked at
 */
export function silenceOf(run: Run, kept: number): Run | undefined {
  const { times } = sequenceOf(run)
  let place = 1
  while (place < times.length && (times[place] ?? 0) - (times[place - 1] ?? 0) < SILENCE) place += 1
  const began = times[place - 1]
  if (began === undefined) return undefined
  const window = kept - SILENCE - 2_000
  const first = Math.min(run.up.times[0] ?? Infinity, run.down.times[0] ?? Infinity)
  const cut = ({ times, sizes }: Run['up'], mark: boolean) => {
    const inside = times
      .map((time, index) => ({ time: time - first - began, size: sizes[index] ?? 0 }))
      .filter(({ time }) => time > 0 && time < window)
    if (mark) inside.unshift({ time: 0, size: 1 })
    return { times: inside.map(({ time }) => time), sizes: inside.map(({ size }) => size) }
  }
  return { up: cut(run.up, true), down: cut(run.down, false) }
}

/** Times between records in ms, those within an exchange left out. */
export function silencesOf(run: Run): number[] {
  const { times } = sequenceOf(run)
  return [...times.slice(1)]
    .map((time, place) => time - (times[place] ?? 0))
    .filter((silence) => silence >= SILENCE)
}

/** Whether the connection is kept alive by the clock: three silences in a row of 14.5 to 15.5 s. */
export function keepsTime(silences: readonly number[]): boolean {
  let inRow = 0
  for (const silence of silences) {
    inRow = Math.abs(silence - USUAL) <= OFF ? inRow + 1 : 0
    if (inRow === ENOUGH) return true
  }
  return false
}

/**
 * How well the distance of the first silences from 15 s tells two sets of connections apart by itself: 0.5 to 1.
 * Connections without a silence are left out; `undefined` when none is left.
 */
export function areaByClock(
  zeros: readonly (readonly number[])[],
  ones: readonly (readonly number[])[],
): number | undefined {
  const [some, others] = [zeros.flatMap(fromClock), ones.flatMap(fromClock)]
  return some.length === 0 || others.length === 0 ? undefined : areaAlone(some, others)
}

function fromClock(silences: readonly number[]): number[] {
  const first = silences.slice(0, ENOUGH)
  if (first.length === 0) return []
  return [first.reduce((sum, silence) => sum + Math.abs(silence - USUAL) / first.length, 0)]
}
