// Whether a TLS handshake shows within a connection: three flights of the sizes that the browser's own handshakes
// with the sites have, which direct loads show in the clear.
import type { CapturedConnection } from '../../src/harness/capture/capture-parser.ts'
import { ContentType } from '../../src/harness/capture/record-reader.ts'
import { sequenceOf } from '../../src/harness/compare/features.ts'
import type { Run } from '../../src/harness/report/source.ts'

/** Sizes from the least to the most that was seen, in bytes, heads of records included. */
type Sizes = readonly [least: number, most: number]

/** What a ClientHello takes, the server's answer, and what the client sends then. */
export type Flights = readonly [hello: Sizes, answer: Sizes, finished: Sizes]

/** How far into a connection it is looked for, in records. */
const LOOKED_AT = 32
/** What a tunnel may add to each record: the heads of its frames. */
const HEADS = 16

/** The flights of handshakes that were not within anything. */
export function flightsOf(connections: readonly CapturedConnection[]): Flights | undefined {
  const seen = connections.flatMap(({ records }) => {
    const flights: number[] = []
    let last: string | undefined
    /** ChangeCipherSpec and Finished, without the data that may follow at once. */
    let least = 0
    for (const { direction, bytes, type } of records) {
      if (direction !== last) flights.push(0)
      last = direction
      if (flights.length > 3) break
      flights[flights.length - 1] = (flights.at(-1) ?? 0) + bytes
      if (flights.length === 3 && least === 0 && type === ContentType.ApplicationData) {
        least = flights.at(-1) ?? 0
      }
    }
    const [hello, answer, finished] = flights
    if (hello === undefined || answer === undefined || finished === undefined) return []
    return [{ hello, answer, least, finished }]
  })
  if (seen.length === 0) return undefined
  const range = (values: readonly number[]): Sizes => [Math.min(...values), Math.max(...values)]
  return [
    range(seen.map(({ hello }) => hello)),
    range(seen.map(({ answer }) => answer)),
    range(seen.flatMap(({ least, finished }) => [least, finished])),
  ]
}

/** The share of connections in which one shows, from 0 to 1. */
export function shareWithHandshake(runs: readonly Run[], flights: Flights): number {
  return runs.filter((run) => showsHandshake(run, flights)).length / Math.max(runs.length, 1)
}

function showsHandshake(run: Run, [hello, answer, finished]: Flights): boolean {
  const bursts: { up: boolean; sizes: number[] }[] = []
  for (const size of sequenceOf(run).sizes.slice(0, LOOKED_AT)) {
    const up = size > 0
    if (bursts.at(-1)?.up !== up) bursts.push({ up, sizes: [] })
    bursts.at(-1)?.sizes.push(Math.abs(size))
  }
  return bursts.some(({ up, sizes }, place) => {
    const [second, third] = [bursts[place + 1], bursts[place + 2]]
    if (!up || second === undefined || third === undefined) return false
    return anySum(sizes, hello) && anySum(second.sizes, answer) && anySum(third.sizes, finished)
  })
}

/** Whether records in a row have together a size that fits: what was cut is put together again. */
function anySum(sizes: readonly number[], [least, most]: Sizes): boolean {
  return sizes.some((_, first) => {
    let sum = 0
    return sizes.slice(first).some((size, more) => {
      sum += size
      return sum >= least && sum <= most + HEADS * (more + 1)
    })
  })
}
