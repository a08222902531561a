// What a classifier is given of a connection: numbers made from the size, direction and time of its records.

import type { Run } from '../report/source.ts'

/** The records of both directions in the order in which they passed. */
export interface Sequence {
  /** In ms since the first. */
  readonly times: Float64Array
  /** Carried bytes: positive from the client, negative from the server. */
  readonly sizes: Float64Array
}

/** How many places of both directions together, and of each alone, are features of their own. */
const PLACES = 32
const PLACES_OF_ONE = 16

/** Both directions of a connection as one; of records at the very same time, the client's come first. */
export function sequenceOf({ up, down }: Run): Sequence {
  const length = up.sizes.length + down.sizes.length
  const [times, sizes] = [new Float64Array(length), new Float64Array(length)]
  const began = Math.min(up.times[0] ?? Infinity, down.times[0] ?? Infinity)
  let [u, d] = [0, 0]
  for (let place = 0; place < length; place += 1) {
    const isUp = (up.times[u] ?? Infinity) <= (down.times[d] ?? Infinity)
    times[place] = ((isUp ? up.times[u] : down.times[d]) ?? 0) - began
    sizes[place] = (isUp ? up.sizes[u++] : -(down.sizes[d++] ?? 0)) ?? 0
  }
  return { times, sizes }
}

/** The first records of a connection: what an onlooker has seen by then. */
export function firstRecords({ times, sizes }: Sequence, count: number): Sequence {
  return { times: times.slice(0, count), sizes: sizes.slice(0, count) }
}

const WAYS = ['up', 'down'] as const
const places = (count: number, name: (place: number) => string) =>
  Array.from({ length: count }, (_, place) => name(place + 1))

/**
 * The names of the features, in the order of {@link featuresOf}. Sizes are in bytes, times in ms. A size that
 * is not there is 0, a gap that is not there is -1.
 *
 * - `records`, `bytes`, each of a direction: how many; `turns`: how often the direction changes; `duration`;
 * - `size … of` and `gap … of` a direction: mean, deviation, least, most; gaps are between its own records;
 * - `first burst` of a direction: bytes until the other one answers, its first time;
 * - `record N`: size of the Nth record of both directions, negative from the server; `gap before record N`;
 * - `up N`, `down N`: size of the Nth record of that direction.
 */
export const FEATURE_NAMES: readonly string[] = Object.freeze([
  ...['records', 'bytes', 'turns', 'duration'],
  ...WAYS.flatMap((way) => [
    `records ${way}`,
    `bytes ${way}`,
    `first burst ${way}`,
    ...['size', 'gap'].flatMap((what) =>
      ['mean', 'deviation', 'least', 'most'].map((measure) => `${what} ${measure} ${way}`),
    ),
  ]),
  ...places(PLACES, (place) => `record ${place}`),
  ...places(PLACES_OF_ONE, (place) => `gap before record ${place + 1}`),
  ...WAYS.flatMap((way) => places(PLACES_OF_ONE, (place) => `${way} ${place}`)),
])

/** The features of a connection, by {@link FEATURE_NAMES}. */
export function featuresOf({ times, sizes }: Sequence): Float32Array {
  const features = new Float32Array(FEATURE_NAMES.length)
  let next = 0
  const put = (...values: readonly number[]) => {
    for (const value of values) features[next++] = value
  }
  let turns = 0
  for (let place = 1; place < sizes.length; place += 1) {
    if (isUp(sizes[place]) !== isUp(sizes[place - 1])) turns += 1
  }
  const ways = [directionOf(times, sizes, true), directionOf(times, sizes, false)] as const
  put(sizes.length, ways[0].bytes + ways[1].bytes, turns, times.at(-1) ?? 0)
  for (const way of ways) {
    put(way.sizes.length, way.bytes, way.burst)
    put(...spreadOf(way.sizes, 0), ...spreadOf(way.gaps, -1))
  }
  for (let place = 0; place < PLACES; place += 1) put(sizes[place] ?? 0)
  for (let place = 1; place <= PLACES_OF_ONE; place += 1) {
    const time = times[place]
    put(time === undefined ? -1 : time - (times[place - 1] ?? time))
  }
  for (const way of ways) {
    for (let place = 0; place < PLACES_OF_ONE; place += 1) put(way.sizes[place] ?? 0)
  }
  return features
}

function directionOf(times: Float64Array, sizes: Float64Array, up: boolean) {
  const own: number[] = []
  const gaps: number[] = []
  let [bytes, burst, last] = [0, 0, -1]
  let isFirst = true
  for (const [place, signed] of sizes.entries()) {
    if (isUp(signed) !== up) {
      if (bytes > 0) isFirst = false
      continue
    }
    const size = Math.abs(signed)
    const time = times[place] ?? 0
    own.push(size)
    bytes += size
    if (isFirst) burst += size
    if (last >= 0) gaps.push(time - last)
    last = time
  }
  return { sizes: own, gaps, bytes, burst }
}

/** A record without content, -0 from the server, keeps its direction. */
function isUp(size: number | undefined): boolean {
  return Object.is(size, 0) || (size ?? 0) > 0
}

function spreadOf(values: readonly number[], none: number): [number, number, number, number] {
  if (values.length === 0) return [none, none, none, none]
  let [sum, least, most] = [0, Infinity, -Infinity]
  for (const value of values) {
    sum += value
    least = Math.min(least, value)
    most = Math.max(most, value)
  }
  const mean = sum / values.length
  let squares = 0
  for (const value of values) squares += (value - mean) ** 2
  return [mean, Math.sqrt(squares / values.length), least, most]
}
