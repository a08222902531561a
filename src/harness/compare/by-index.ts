// How far two sets of connections are apart at each place of each direction.
// Must never call a difference one without saying how many were looked at: p is corrected for all of them.

import { kolmogorovSmirnov, wasserstein } from '../report/distances.ts'
import type { Run } from '../report/source.ts'
import { DIRECTIONS } from '../simulate/workload.ts'
import type { Direction } from '../simulate/workload.ts'

/** Places of a direction that are looked at. */
const INDEXES = 32

/** Fewer values on a side are not tested: the formula of p is one for large samples. */
const LEAST_VALUES = 20

/** The values at one place of one direction, in both sets. */
export interface IndexDistance {
  readonly direction: Direction
  /** Place of the record in its direction, from 0. */
  readonly index: number
  /** Carried bytes of the record, or ms since the one before it in its direction. */
  readonly of: 'size' | 'gap'
  /** How many connections have that many records. */
  readonly samples: { readonly a: number; readonly b: number }
  /** Kolmogorov-Smirnov, 0 to 1. */
  readonly ks: number
  /** Wasserstein-1, in bytes or ms. */
  readonly w1: number
  /**
   * Of Kolmogorov-Smirnov, corrected by the method of Holm for all that were tested: the chance that any
   * of them would be as low if no place differed is at most p. `null` where a side has fewer than 20 values.
   */
  readonly p: number | null
}

/** Places that both sets have, in order: client first, sizes first. */
export function distancesByIndex(a: readonly Run[], b: readonly Run[]): IndexDistance[] {
  const found: (IndexDistance & { readonly raw: number | null })[] = []
  for (const direction of DIRECTIONS) {
    for (const of of ['size', 'gap'] as const) {
      for (let index = of === 'size' ? 0 : 1; index < INDEXES; index += 1) {
        const [one, other] = [a, b].map((runs) => valuesAt(runs, direction, of, index))
        if (!one?.length || !other?.length) break
        const ks = kolmogorovSmirnov(one, other)
        const isTested = Math.min(one.length, other.length) >= LEAST_VALUES
        found.push({
          ...{ direction, index, of, samples: { a: one.length, b: other.length } },
          ...{ ks, w1: wasserstein(one, other), p: null },
          raw: isTested ? chanceOf(ks, one.length, other.length) : null,
        })
      }
    }
  }
  const corrected = holm(found.flatMap(({ raw }) => (raw === null ? [] : [raw])))
  return found.map(({ raw, ...distance }) => ({
    ...distance,
    p: raw === null ? null : (corrected.shift() ?? null),
  }))
}

function valuesAt(runs: readonly Run[], direction: Direction, of: 'size' | 'gap', index: number) {
  const values: number[] = []
  for (const run of runs) {
    const { sizes, times } = run[direction]
    const [size, time, before] = [sizes[index], times[index], times[index - 1]]
    if (size === undefined || time === undefined) continue
    values.push(of === 'size' ? size : time - (before ?? time))
  }
  return values
}

/**
 * The chance of a Kolmogorov-Smirnov statistic at least as large between two samples of one distribution, in the
 * limit of large samples; with equal values among them it is less than that.
 */
export function chanceOf(ks: number, a: number, b: number): number {
  const scaled = ks * Math.sqrt((a * b) / (a + b))
  // The series converges too slowly there, and the sum is 1 to all digits.
  if (scaled < 0.2) return 1
  let [sum, sign] = [0, 1]
  for (let term = 1; term <= 100; term += 1) {
    sum += sign * Math.exp(-2 * (term * scaled) ** 2)
    sign = -sign
  }
  return Math.min(Math.max(2 * sum, 0), 1)
}

/** Corrects p-values for their number (Holm, 1979), whatever hangs together among them; in the same order. */
export function holm(ps: readonly number[]): number[] {
  const order = [...ps.keys()].sort((one, other) => (ps[one] ?? 0) - (ps[other] ?? 0))
  const corrected = new Array<number>(ps.length).fill(1)
  let least = 0
  for (const [rank, place] of order.entries()) {
    least = Math.max(least, Math.min((ps.length - rank) * (ps[place] ?? 1), 1))
    corrected[place] = least
  }
  return corrected
}
