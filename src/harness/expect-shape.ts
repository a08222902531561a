// A padding scheme held against records, for somebody's tests: do they have the sizes that it asks for?
// Must never import a module of Node, or a test runner: any of them shows what is thrown.

import { AnyTlsError } from '../errors.ts'
import { RECORD_SIZE } from '../codec/tls-record.ts'
import { largestSize } from '../shaping/scheme-items.ts'
import { parseScheme } from '../shaping/scheme.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { parseCapture } from './capture/capture-parser.ts'
import type { ParsedCapture } from './capture/capture-parser.ts'
import { sourceFromCapture } from './report/from-capture.ts'
import { sourceFromSimulation } from './report/from-simulation.ts'
import type { HandshakeRecords } from './report/from-capture.ts'
import type { Run } from './report/source.ts'
import type { Simulation } from './simulate/simulation.ts'
import { V1_WIRE } from './simulate/v1-model.ts'
import type { WireModel } from './simulate/wire-model.ts'
import type { Direction } from './simulate/workload.ts'

/** Options of {@link expectShape}. */
export interface ExpectShapeOptions {
  /** Whose records are looked at. Default: `up`, the client's. */
  readonly direction?: Direction
  /** The wire that was spoken: what its padding cannot do is allowed for. Default: ANYTLS v1. */
  readonly wire?: WireModel
  /** Which records of a capture belong to TLS. Default: those of Node and OpenSSL. */
  readonly skip?: HandshakeRecords
}

/** Sizes in bytes, both inclusive. */
export interface AllowedSizes {
  /** The index of the scheme that asks for it; its padding of AUTH is 0. */
  readonly index: number
  /** The smallest that it may be, in carried bytes. */
  readonly least: number
  /** The largest that it may be, in carried bytes. */
  readonly most: number
}

/** A record whose size the scheme does not allow. Test runners show it as a failed assertion. */
export class ShapeError extends AnyTlsError {
  /** Number of the connection or run, from 1, of those with application data. */
  readonly connection: number
  /** Place of the record in its direction, from 0; those of the TLS handshake do not count. */
  readonly record: number
  /** Its carried bytes. */
  readonly actual: number
  /** What the scheme allows there. */
  readonly expected: readonly AllowedSizes[]

  constructor(
    where: Pick<ShapeError, 'connection' | 'record' | 'actual' | 'expected'>,
    direction: Direction,
  ) {
    const { connection, record, actual, expected } = where
    const asked = expected.map(
      ({ index, least, most }) => `index ${index} asks for ${rangeText(least, most)}`,
    )
    const what = `connection ${connection}, record ${record} ${direction} carries ${actual} bytes`
    super('ERR_SHAPE_MISMATCH', `${what}, where ${asked.join(' or ')}`)
    this.name = 'AssertionError'
    this.connection = connection
    this.record = record
    this.actual = actual
    this.expected = expected
  }
}

function rangeText(least: number, most: number): string {
  if (most === Infinity) return `${least} or more`
  return least === most ? `${least}` : `${least} to ${most}`
}

/** What {@link expectShape} gives. */
export interface ShapeExpectation {
  /**
   * Every connection has, record by record, sizes that the scheme allows. What is allowed is what a shaper can
   * make of some data: a Deliver may end at a `c`; data beyond the sizes of an index makes one unshaped Write
   * more; with `restart`, any Deliver may be the first of a new stream; a connection may end anywhere.
   *
   * @throws ShapeError `ERR_SHAPE_MISMATCH` for the first record that has another size
   * @throws AnyTlsError `ERR_CAPTURE_INVALID` when there are no records to look at; SchemeError
   */
  toFollow(scheme: Scheme | string): void
}

/**
 * For tests, with vitest, node:test or any other runner.
 *
 * @param capture the text of a capture file, a capture that was read, or a simulation
 * @throws AnyTlsError `ERR_CAPTURE_INVALID`, `ERR_SIMULATION_INVALID`
 * @example
 * expectShape(readFileSync('session.jsonl', 'utf8')).toFollow('stop=3\n0=30-60\n1=200-400\n2=500-1000')
 */
export function expectShape(
  capture: string | ParsedCapture | Simulation,
  { direction = 'up', wire = V1_WIRE, skip }: ExpectShapeOptions = {},
): ShapeExpectation {
  const runs = runsOf(capture, skip)
  return {
    toFollow(given) {
      const scheme = typeof given === 'string' ? parseScheme(given) : given
      const matcher = new Matcher(scheme, wire, direction)
      if (runs.every((run) => run[direction].sizes.length === 0)) {
        const message = `there is no record ${direction} that could follow a scheme`
        throw new AnyTlsError('ERR_CAPTURE_INVALID', message)
      }
      for (const [place, run] of runs.entries()) {
        const { sizes } = run[direction]
        const mismatch = matcher.match(sizes)
        if (mismatch !== undefined) {
          throw new ShapeError({ connection: place + 1, ...mismatch }, direction)
        }
      }
    },
  }
}

function runsOf(capture: string | ParsedCapture | Simulation, skip?: HandshakeRecords) {
  const read = typeof capture === 'string' ? parseCapture(capture) : capture
  const source: { readonly runs: readonly Run[] } =
    'connections' in read
      ? sourceFromCapture('capture', read, skip)
      : sourceFromSimulation('simulation', read)
  return source.runs
}

/** What the next record may be. */
interface Place extends AllowedSizes {
  /** The item of the index that it stands for; `rest` for a Write that is not shaped. */
  readonly item: number | 'rest'
  /** The Write is longer than one record: sizes of what is left of it. */
  readonly then?: { readonly least: number; readonly most: number }
}

/** AUTH without padding: hash and length (draft, Authentication). */
const AUTH_LEAST = 34

/** Any target that a frame of padding fits. */
const SOME_TARGET = 100

/** Reads the records of a direction as what the shaper may have made, in all ways at once. */
class Matcher {
  readonly #scheme: Scheme
  readonly #padding: WireModel['padding']
  readonly #direction: Direction
  /** By how much a Write may be shorter and longer than its target, where the wire has no frame that fits. */
  readonly #shorter: number
  readonly #longer: number

  constructor(scheme: Scheme, { padding }: WireModel, direction: Direction) {
    this.#scheme = scheme
    this.#padding = padding
    this.#direction = direction
    let shorter = 0
    while (padding.fill(shorter + 1) === undefined) shorter += 1
    this.#shorter = shorter
    this.#longer = (padding.alone(SOME_TARGET)?.length ?? SOME_TARGET) - SOME_TARGET
  }

  /** The first record that cannot be there, if any. */
  match(sizes: readonly number[]) {
    const { stop, restart } = this.#scheme
    let places = this.#first()
    for (const [record, actual] of sizes.entries()) {
      // Shaping may be over, and no stream brings it back.
      if (restart === undefined && places.some(({ index }) => index >= stop)) return undefined
      const next = new PlaceSet()
      for (const place of places) {
        if (actual >= place.least && actual <= place.most) this.#follow(place, actual, next)
      }
      if (next.all.length === 0) {
        const expected = places.map(({ index, least, most }) => ({ index, least, most }))
        return { record, actual, expected }
      }
      places = next.all
    }
    return undefined
  }

  /** Deliver 0 is one Write (D28); the client's holds AUTH with its padding. */
  #first(): readonly Place[] {
    const padding = this.#scheme.entries.get(0)?.find((item) => item.kind === 'size')
    const least = this.#direction === 'up' ? AUTH_LEAST + (padding?.min ?? 0) : 0
    return [{ index: 0, item: 'rest', least: Math.min(least, RECORD_SIZE), most: RECORD_SIZE }]
  }

  /** Adds what may come behind a record. */
  #follow({ index, item, then }: Place, actual: number, next: PlaceSet): void {
    if (then !== undefined) {
      addWrite(next, { index, item, ...then })
    } else if (item === 'rest') {
      // One that fills its record may go on in the next.
      if (actual === RECORD_SIZE) next.add(restOf(index))
      this.#addDeliver(index + 1, next)
    } else {
      this.#addItem(index, item + 1, next)
    }
  }

  /** Any Deliver may be the next, or that of a new stream. */
  #addDeliver(index: number, next: PlaceSet): void {
    const { restart } = this.#scheme
    this.#addFirstItem(index, next)
    if (restart !== undefined && index > restart) this.#addFirstItem(restart, next)
  }

  /** There is data: a `c` at the beginning ends nothing (D31). */
  #addFirstItem(index: number, next: PlaceSet): void {
    const { stop, entries } = this.#scheme
    const items = index < stop ? entries.get(index) : undefined
    const item = items?.findIndex(({ kind }) => kind === 'size') ?? -1
    if (item < 0) next.add(restOf(Math.min(index, stop)))
    else this.#addSize(index, item, next)
  }

  /** There may be data, or none. */
  #addItem(index: number, from: number, next: PlaceSet): void {
    const items = this.#scheme.entries.get(index) ?? []
    let item = from
    while (items[item]?.kind === 'check') item += 1
    const size = items[item]
    if (size?.kind === 'size') {
      this.#addSize(index, item, next)
      // No frame is that short: without data, there is no such Write (D22).
      if (this.#padding.alone(size.min) === undefined) this.#addItem(index, item + 1, next)
    } else {
      // Data beyond all sizes.
      next.add(restOf(index))
    }
    if (item > from || item === items.length) this.#addDeliver(index + 1, next)
  }

  #addSize(index: number, item: number, next: PlaceSet): void {
    const size = this.#scheme.entries.get(index)?.[item]
    if (size?.kind !== 'size') return
    const least = Math.max(size.min - this.#shorter, 1)
    addWrite(next, { index, item, least, most: largestSize(size) + this.#longer })
  }
}

/** A Write that is not shaped. */
function restOf(index: number): Place {
  return { index, item: 'rest', least: 0, most: RECORD_SIZE }
}

/** A Write of `least` to `most` bytes, as one record, or as a full one and what is left. */
function addWrite(next: PlaceSet, { least, most, ...place }: Omit<Place, 'then'>): void {
  if (least <= RECORD_SIZE) next.add({ ...place, least, most: Math.min(most, RECORD_SIZE) })
  if (most <= RECORD_SIZE) return
  const then = { least: Math.max(least - RECORD_SIZE, 1), most: most - RECORD_SIZE }
  next.add({ ...place, least: RECORD_SIZE, most: RECORD_SIZE, then })
}

/** Places, each once. */
class PlaceSet {
  readonly all: Place[] = []
  readonly #keys = new Set<string>()

  add(place: Place): void {
    const { index, item, least, then } = place
    const key = `${index}:${item}:${least}:${then?.most ?? ''}`
    if (this.#keys.has(key)) return
    this.#keys.add(key)
    this.all.push(place)
  }
}
