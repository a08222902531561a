// What a report compares: captures and simulations, brought to the same terms.

import { RECORD_OVERHEAD } from '../../codec/tls-record.ts'
import type { Direction } from '../simulate/workload.ts'
import type { Scheme } from '../../shaping/scheme.ts'

/** The records of one direction, in order: when each was seen, in ms since the first one of its run, and its size. */
interface Trace {
  readonly times: readonly number[]
  /** Bytes that the records carry: without the head, tag and inner content type of TLS. */
  readonly sizes: readonly number[]
}

/** One connection of a capture, or one run of a simulation. */
export type Run = Readonly<Record<Direction, Trace>> & {
  /** Bytes that TLS adds to each record; 22, as in TLS 1.3, where nothing else is known. */
  readonly overhead?: number
}

/** One column of the report. */
export interface ReportSource {
  readonly kind: 'capture' | 'simulation'
  /** The name of its file. */
  readonly name: string
  readonly runs: readonly Run[]
  /** The scheme that each direction was shaped with, where the file says so. */
  readonly schemes: Readonly<Partial<Record<Direction, Scheme>>>
  /** Bytes of padding among those carried, where the file says so. */
  readonly padding?: Readonly<Record<Direction, number>>
  /** What else is known of it, in the order to be shown. */
  readonly facts: readonly Fact[]
  /** Sentences on what was left out or is not known. */
  readonly notes: readonly string[]
}

export interface Fact {
  readonly name: string
  readonly value: string
}

/** Bytes that TLS adds to the records of a direction. */
export function tlsBytesOf({ runs }: ReportSource, direction: Direction): number {
  return runs.reduce(
    (sum, run) => sum + run[direction].sizes.length * (run.overhead ?? RECORD_OVERHEAD),
    0,
  )
}

/** All sizes of a direction, runs one after the other. */
export function sizesOf({ runs }: ReportSource, direction: Direction): number[] {
  return runs.flatMap((run) => run[direction].sizes)
}

/** The times between each two records of a direction, in ms, runs one after the other. */
export function gapsOf({ runs }: ReportSource, direction: Direction): number[] {
  return runs.flatMap((run) => {
    const { times } = run[direction]
    return times.slice(1).map((time, index) => time - (times[index] ?? time))
  })
}

/** The scheme that a source is judged by: its own; `schemes` are those of captures, which do not name theirs. */
export function targetOf(
  source: ReportSource,
  schemes: ReportSource['schemes'],
  direction: Direction,
): Scheme | undefined {
  const own = source.schemes[direction]
  return source.kind === 'simulation' ? own : (own ?? schemes[direction])
}
