// The numbers of a simulation: what shaping costs in each direction, over all runs.
// Must never weigh anything: least, mean and most, that is all.
import type { Spread } from '../../shaping/scheme-summary.ts'
import { RECORD_SIZE } from '../../shaping/limits.ts'
import type { SimulatedDeliver } from './simulate.ts'
import type { DirectionSummary, Simulation } from './simulation.ts'
import type { Direction } from './workload.ts'

/** @param runs at least one */
export function summarizeRuns(
  runs: readonly (readonly SimulatedDeliver[])[],
): Simulation['summary'] {
  return { up: summarize(runs, 'up'), down: summarize(runs, 'down') }
}

function summarize(
  runs: readonly (readonly SimulatedDeliver[])[],
  direction: Direction,
): DirectionSummary {
  const totals = runs.map((run) => totalOf(run.filter((made) => made.direction === direction)))
  const over = (number: (total: Total) => number) => spreadOf(totals.map(number))
  const [{ data, framing, delivers }] = totals as [Total, ...Total[]]
  return {
    data,
    framing,
    delivers,
    writes: over(({ writes }) => writes),
    writesAdded: over(({ writes }) => writes - delivers),
    records: over(({ records }) => records),
    padding: over(({ padding }) => padding),
    overhead: over(({ padding }) =>
      data + framing === 0 ? 0 : (100 * padding) / (data + framing),
    ),
    latency: spreadOf(
      runs.flatMap((run) =>
        run.filter((made) => made.direction === direction).map(({ latency }) => latency),
      ),
    ),
  }
}

/** One direction of one run. */
interface Total {
  data: number
  framing: number
  delivers: number
  writes: number
  records: number
  padding: number
}

function totalOf(made: readonly SimulatedDeliver[]): Total {
  const total = { data: 0, framing: 0, delivers: made.length, writes: 0, records: 0, padding: 0 }
  for (const { data, framing, padding, writes } of made) {
    total.data += data
    total.framing += framing
    total.padding += padding
    total.writes += writes.length
    for (const { bytes } of writes) total.records += Math.ceil(bytes / RECORD_SIZE)
  }
  return total
}

function spreadOf(numbers: readonly number[]): Spread {
  if (numbers.length === 0) return { least: 0, mean: 0, most: 0 }
  let [least, sum, most] = [Infinity, 0, 0]
  for (const number of numbers) {
    least = Math.min(least, number)
    most = Math.max(most, number)
    sum += number
  }
  return { least: rounded(least), mean: rounded(sum / numbers.length), most: rounded(most) }
}

/** Digits beyond these say nothing and fill the file. */
function rounded(number: number): number {
  return Math.round(number * 1e6) / 1e6
}
