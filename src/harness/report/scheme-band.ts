// The band of a scheme: the sizes that it allows a record to have, by the index of the record.

import { largestSize } from '../../shaping/scheme-items.ts'
import type { SchemeItem, SizeItem } from '../../shaping/scheme-items.ts'
import { RECORD_SIZE } from '../../codec/tls-record.ts'
import type { Scheme } from '../../shaping/scheme.ts'

/** Sizes in bytes, both inclusive. */
export interface SizeRange {
  readonly min: number
  readonly max: number
}

/** What a scheme allows at a record index. */
export interface BandStep {
  /** They ascend and do not touch. None: the scheme asks for nothing there. */
  readonly ranges: readonly SizeRange[]
  /** Whether the record may be one that is not shaped, and so of any size: shaping may be over by then. */
  readonly isOpen: boolean
}

/** By record index. */
export type SchemeBand = readonly BandStep[]

/** An item that a record may stand for. */
interface Place {
  readonly deliver: number
  readonly item: number
}

/**
 * The band of the first `length` records of a direction. Record 0 is Deliver 0, which is one Write of any
 * size (D28). From there on a record may be any item that can be reached: `c` may end a Deliver or not
 * (D31). It counts as if each Deliver fitted into its targets; data beyond them makes a record more, and
 * moves those behind it by one.
 */
export function schemeBand(scheme: Scheme, length: number): SchemeBand {
  const band: BandStep[] = []
  let places: ReadonlyMap<string, Place> = placesFrom(scheme, { deliver: 0, item: 0 })
  while (band.length < length) {
    const next = new Map<string, Place>()
    const ranges: SizeRange[] = []
    let isOpen = false
    for (const { deliver, item } of places.values()) {
      const size = itemsOf(scheme, deliver)?.[item]
      if (size?.kind === 'size') ranges.push(rangeOf(size))
      else isOpen = true
      const behind = { deliver, item: size === undefined ? Infinity : item + 1 }
      for (const [key, place] of placesFrom(scheme, behind)) next.set(key, place)
    }
    band.push({ ranges: joined(ranges), isOpen })
    places = next
  }
  while (band.at(-1)?.ranges.length === 0) band.pop()
  return band
}

/**
 * Whether a record is in the ranges of its index, with what the wires can do nothing about: on ANYTLS v1 one byte cannot
 * be added (D22), on the original wire padding alone is seven bytes longer than its target.
 */
export function isInBand(ranges: readonly SizeRange[], size: number): boolean {
  return ranges.some(({ min, max }) => size >= min - 1 && size <= max + 7)
}

/** Where the next record may stand when all before `start` has been written. */
function placesFrom(scheme: Scheme, start: Place): Map<string, Place> {
  const places = new Map<string, Place>()
  const add = (place: Place) => places.set(`${place.deliver}:${place.item}`, place)
  const items = itemsOf(scheme, start.deliver)
  let { item } = start
  // Every Deliver has a first record. Behind it a `c`, or the end, may be the end of the Deliver.
  let over = false
  if (item === 0) {
    while (items?.[item]?.kind === 'check') item += 1
    add({ deliver: start.deliver, item })
    return places
  }
  while (items?.[item]?.kind === 'check') {
    over = true
    item += 1
  }
  if (items?.[item] === undefined) over = true
  else add({ deliver: start.deliver, item })
  if (over) {
    for (const place of placesFrom(scheme, { deliver: start.deliver + 1, item: 0 }).values()) {
      add(place)
    }
  }
  return places
}

/** A Write above one TLS record is several, of which the first is full. */
function rangeOf(item: SizeItem): SizeRange {
  return { min: Math.min(item.min, RECORD_SIZE), max: Math.min(largestSize(item), RECORD_SIZE) }
}

/** The items of a Deliver that is shaped. */
function itemsOf(scheme: Scheme, deliver: number): readonly SchemeItem[] | undefined {
  return deliver > 0 && deliver < scheme.stop ? scheme.entries.get(deliver) : undefined
}

function joined(ranges: readonly SizeRange[]): SizeRange[] {
  const result: SizeRange[] = []
  for (const range of ranges.toSorted((a, b) => a.min - b.min)) {
    const last = result.at(-1)
    if (last === undefined || range.min > last.max + 1) result.push(range)
    else result[result.length - 1] = { min: last.min, max: Math.max(last.max, range.max) }
  }
  return result
}
