// What a padding scheme asks for, in numbers: bytes and Writes of each Deliver, least, mean and most.
import { largestSize, type SchemeItem, type SizeItem } from './scheme-items.ts'
import type { Scheme } from './scheme.ts'

/** A number that depends on chance or on the data. */
export interface Spread {
  /** The smallest that it can be, or was. */
  readonly least: number
  /** What it is on average. */
  readonly mean: number
  /** The largest that it can be, or was. */
  readonly most: number
}

/** What one index asks for. */
export interface DeliverSummary {
  /** Its index in the scheme. */
  readonly index: number
  /** Sum of the sizes of its Writes, in bytes. */
  readonly bytes: Spread
  /** How many Writes it is. */
  readonly writes: Spread
}

/** What a scheme asks for. */
export interface SchemeSummary {
  /** Bytes of padding in AUTH (index 0). */
  readonly authPadding: Spread
  /** The indexes from 1 to below `stop` that have an entry, in order. */
  readonly delivers: readonly DeliverSummary[]
  /** All of them together, Deliver 0 included: the padding of AUTH, and its one Write (D28). */
  readonly total: {
    /** Sum of the sizes of the Writes, in bytes. */
    readonly bytes: Spread
    /** How many Writes there are. */
    readonly writes: Spread
  }
  /** The bytes of the indexes from `restart` on: once more for each stream opened. */
  readonly restart: Spread | undefined
}

/**
 * Sums up a scheme. An entry may end at each `c` that has a size before it, and at its end. Least: it ends
 * at the first of them, every draw being the smallest. Most: it goes on to the last one, every draw being
 * the largest. Mean: it ends at each of them equally often, every draw being the middle of its range. Data
 * that is left over when all sizes are used up comes on top, unshaped.
 */
export function summarizeScheme({ stop, restart, entries }: Scheme): SchemeSummary {
  const first = entries.get(0)?.find((item) => item.kind === 'size')
  const authPadding = first === undefined ? NOTHING : spreadOf(first)
  const delivers = [...entries]
    .filter(([index]) => index > 0 && index < stop)
    .sort(([a], [b]) => a - b)
    .map(([index, items]) => summarizeEntry(index, items))
  const restarted = delivers.filter(({ index }) => restart !== undefined && index >= restart)
  return {
    authPadding,
    delivers,
    total: {
      bytes: sum([authPadding, ...delivers.map(({ bytes }) => bytes)]),
      writes: sum([ONE, ...delivers.map(({ writes }) => writes)]),
    },
    restart: restart === undefined ? undefined : sum(restarted.map(({ bytes }) => bytes)),
  }
}

const NOTHING: Spread = Object.freeze({ least: 0, mean: 0, most: 0 })
const ONE: Spread = Object.freeze({ least: 1, mean: 1, most: 1 })

function summarizeEntry(index: number, items: readonly SchemeItem[]): DeliverSummary {
  const sizes: SizeItem[] = []
  // How many sizes are used at each place where the entry may end.
  const ends = new Set<number>()
  for (const item of items) {
    if (item.kind === 'size') sizes.push(item)
    else if (sizes.length > 0) ends.add(sizes.length)
  }
  // Without a size the data goes as it is, in one Write.
  if (sizes.length === 0) return { index, bytes: NOTHING, writes: ONE }
  ends.add(sizes.length)
  const sums = [...ends].map((count) => sum(sizes.slice(0, count).map(spreadOf)))
  const counts = [...ends]
  return {
    index,
    bytes: {
      least: sums[0]?.least ?? 0,
      mean: meanOf(sums.map(({ mean }) => mean)),
      most: sums.at(-1)?.most ?? 0,
    },
    writes: { least: counts[0] ?? 0, mean: meanOf(counts), most: sizes.length },
  }
}

function spreadOf(size: SizeItem): Spread {
  const most = largestSize(size)
  return { least: size.min, mean: (size.min + most) / 2, most }
}

function sum(spreads: readonly Spread[]): Spread {
  let [least, mean, most] = [0, 0, 0]
  for (const spread of spreads) {
    least += spread.least
    mean += spread.mean
    most += spread.most
  }
  return { least, mean, most }
}

function meanOf(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0) / numbers.length
}
