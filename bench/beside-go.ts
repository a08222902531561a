// What `bench:far` and `bench:lossy` have in common: Go as what ours are measured by, jobs, and rows of a table.
import type { Load, Maker } from './go-peer.ts'
import { median } from './median.ts'

/** A client with its server. */
export interface Peer {
  readonly name: string
  readonly maker: Maker
  readonly wire: 'legacy' | 'v1'
}

const GO: Peer = { name: 'Go', maker: 'Go', wire: 'legacy' }
const OURS: readonly Peer[] = [
  { name: 'anytls, v1', maker: 'anytls', wire: 'v1' },
  { name: 'anytls, original wire', maker: 'anytls', wire: 'legacy' },
]

export interface NamedLoad extends Load {
  readonly name: string
}

/** Of each peer the seconds that each job took, round by round. */
export type Seconds<Job> = ReadonlyMap<Peer, ReadonlyMap<Job, number[]>>

/** Fills one peer after the other, in turns that change from round to round. */
export async function measureRounds<Job>(
  rounds: number,
  jobs: readonly Job[],
  measure: (peer: Peer, times: ReadonlyMap<Job, number[]>, round: number) => Promise<void>,
): Promise<Seconds<Job>> {
  const peers = [GO, ...OURS]
  const seconds = new Map(peers.map((peer) => [peer, new Map(jobs.map((job) => [job, []]))]))
  for (let round = 0; round < rounds; round += 1) {
    for (const peer of round % 2 === 0 ? peers : peers.toReversed()) {
      await measure(peer, seconds.get(peer)!, round)
    }
  }
  return seconds
}

/** @param where heads of the columns before those of {@link printRows} */
export function printHead(where: readonly string[]): void {
  row([...where, 'what', 'Go, s', ...OURS.map(({ name }) => name)])
  row(new Array<string>(where.length + 2 + OURS.length).fill('---'))
}

/** A row for each job: the median of Go's seconds, and of ours as multiples of them (least–most). */
export function printRows<Job extends NamedLoad>(
  where: readonly string[],
  seconds: Seconds<Job>,
): void {
  for (const [job, ofGo] of seconds.get(GO)!) {
    const ratios = OURS.map((peer) => {
      const times = seconds.get(peer)!.get(job)!
      const each = times.map((time, round) => time / ofGo[round]!)
      const spread = `${Math.min(...each).toFixed(2)}–${Math.max(...each).toFixed(2)}`
      return each.length === 1 ? median(each).toFixed(2) : `${median(each).toFixed(2)} (${spread})`
    })
    const way = job.upload === undefined ? '' : job.upload ? ' up' : ' down'
    row([...where, job.name + way, median(ofGo).toFixed(3), ...ratios])
  }
}

function row(cells: readonly string[]): void {
  console.log(`| ${cells.join(' | ')} |`)
}
