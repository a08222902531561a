// The range of a scheme that comes nearest to a sample of sizes.

import { RECORD_SIZE } from '../../codec/tls-record.ts'
import { chanceOf } from '../compare/by-index.ts'
import { kolmogorovSmirnov, wasserstein } from '../report/distances.ts'

/** As in a scheme: `least` to below `most`, or exactly `least` when both are equal. */
export interface FittedRange {
  readonly least: number
  readonly most: number
  /** Wasserstein-1 between the sample and the range itself, in bytes: nearer no draw of it can come on average. */
  readonly distance: number
}

/** Below this p the range is given up: not more often, as each index of each scheme is asked. */
const DOUBT = 0.0001

/** How finely a range is looked at. */
const STEPS = 400

/** What is cut off at either end of a sample whose ends say little. */
const CUTS = [0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4]

/**
 * The widest range that the sample could have been drawn from, when it could have been (Kolmogorov-Smirnov,
 * p above {@link DOUBT}); or else the nearest by Wasserstein-1 of those tried.
 *
 * @param sample at least one size; sizes below 1 count as 1
 */
export function fitRange(sample: readonly number[]): FittedRange {
  const sorted = sample.map((size) => Math.max(size, 1)).sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? 1
  const [first, last] = [at(0), at(1)]
  if (first === last) return { least: first, most: first, distance: 0 }
  // The least and the greatest of n draws lie about one nth inside of the range.
  const beyond = (last - first) / Math.max(sorted.length - 1, 1)
  const whole = rangeOf(sorted, first - beyond, last + beyond + 1)
  const ks = kolmogorovSmirnov(sorted, sizesIn(whole))
  if (chanceOf(ks, sorted.length, STEPS * sorted.length) > DOUBT) return whole
  const middle = at(0.5)
  const tried = [whole, rangeOf(sorted, middle, middle)]
  for (const cut of CUTS) {
    const [low, high] = [at(cut), at(1 - cut)]
    const more = ((high - low) * cut) / (1 - 2 * cut)
    tried.push(rangeOf(sorted, low, high + 1), rangeOf(sorted, low - more, high + more + 1))
  }
  return tried.reduce((best, range) => (range.distance < best.distance ? range : best))
}

function rangeOf(sorted: readonly number[], from: number, to: number): FittedRange {
  const least = Math.max(Math.round(from), 1)
  // What is drawn is to fit into one record.
  const most = Math.max(Math.min(Math.round(to), RECORD_SIZE + 1), least)
  return { least, most, distance: wasserstein(sorted, sizesIn({ least, most })) }
}

/** Sizes spread evenly over a range. */
function sizesIn({ least, most }: { least: number; most: number }): number[] {
  if (most - least < 2) return [least]
  const steps = Math.min(STEPS, most - least)
  return Array.from({ length: steps }, (_, step) =>
    Math.floor(least + ((step + 0.5) * (most - least)) / steps),
  )
}
