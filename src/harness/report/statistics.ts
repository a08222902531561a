// Numbers that sum up samples: quantiles, histograms over logarithmic bins, sums over time.

import type { Direction } from '../simulate/workload.ts'
import type { Run } from './source.ts'

export interface Summary {
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly median: number
  readonly max: number
}

/** `undefined` for an empty sample. */
export function summarize(sample: readonly number[]): Summary | undefined {
  const sorted = Float64Array.from(sample).sort()
  const [min, max] = [sorted[0], sorted.at(-1)]
  if (min === undefined || max === undefined) return undefined
  const middle = (sorted.length - 1) / 2
  const [low, high] = [sorted[Math.floor(middle)] ?? min, sorted[Math.ceil(middle)] ?? max]
  const sum = sorted.reduce((total, value) => total + value, 0)
  return { count: sorted.length, sum, min, median: (low + high) / 2, max }
}

/** A bin of a histogram: from `from` to below `to`. */
interface Bin {
  readonly from: number
  readonly to: number
}

/** Bins that grow evenly on a logarithmic scale. */
export interface LogBins {
  readonly bins: readonly Bin[]
  /** The share of a sample in each bin, from 0 to 1. What lies beyond the bins counts to the outermost. */
  shares(sample: readonly number[]): number[]
}

/** @param ratio how much larger each bin is than the one before it */
export function logBins(least: number, ratio: number, count: number): LogBins {
  const edge = (index: number) => least * ratio ** index
  const bins = Array.from({ length: count }, (_, index) => ({
    from: edge(index),
    to: edge(index + 1),
  }))
  const indexOf = (value: number) => {
    const index = Math.floor(Math.log(value / least) / Math.log(ratio) + 1e-9)
    return Math.min(Math.max(value > 0 ? index : 0, 0), count - 1)
  }
  return {
    bins,
    shares(sample) {
      const counts = new Array<number>(count).fill(0)
      for (const value of sample) {
        const index = indexOf(value)
        counts[index] = (counts[index] ?? 0) + 1
      }
      return counts.map((found) => (sample.length === 0 ? 0 : found / sample.length))
    },
  }
}

/** The mean over all runs of the bytes that a direction has carried by each of `times`, which ascend. */
export function meanCumulativeBytes(
  runs: readonly Run[],
  direction: Direction,
  times: readonly number[],
): number[] {
  const totals = new Array<number>(times.length).fill(0)
  for (const run of runs) {
    const trace = run[direction]
    let [next, carried] = [0, 0]
    for (const [index, time] of times.entries()) {
      while (next < trace.times.length && (trace.times[next] ?? 0) <= time) {
        carried += trace.sizes[next] ?? 0
        next += 1
      }
      totals[index] = (totals[index] ?? 0) + carried
    }
  }
  return totals.map((total) => total / runs.length)
}

/** A rate and where the true one lies, at 95 %. */
interface Rate {
  readonly rate: number
  readonly low: number
  readonly high: number
}

/** Of the normal distribution, for 95 %. */
const Z = 1.959964

/** Wilson's score interval: it holds for few cases, and for rates of 0 and 1, too. `undefined` for none. */
export function wilson(hits: number, count: number): Rate | undefined {
  if (count === 0) return undefined
  const rate = hits / count
  const weight = Z ** 2 / count
  const middle = (rate + weight / 2) / (1 + weight)
  const reach = (Z * Math.sqrt((rate * (1 - rate)) / count + weight / (4 * count))) / (1 + weight)
  // At the ends it is exact but for the last digits.
  const low = hits === 0 ? 0 : Math.max(middle - reach, 0)
  return { rate, low, high: hits === count ? 1 : Math.min(middle + reach, 1) }
}

/** A point of an empirical distribution function: the share of the sample that is at most `value`. */
interface EcdfPoint {
  readonly value: number
  readonly share: number
}

/** The empirical distribution function at no more than `most` of its steps, the first and the last among them. */
export function ecdf(sample: readonly number[], most: number): EcdfPoint[] {
  const sorted = Float64Array.from(sample).sort()
  const count = sorted.length
  const places = Math.min(count, most)
  const points: EcdfPoint[] = []
  for (let place = 0; place < places; place += 1) {
    const at = places === 1 ? count - 1 : Math.round((place * (count - 1)) / (places - 1))
    points.push({ value: sorted[at] ?? 0, share: (at + 1) / count })
  }
  return points
}
