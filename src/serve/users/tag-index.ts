// Places by tags of 32 bits: an index that takes some four or five bytes an entry, and no object.
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { PackedNumbers } from './packed-numbers.ts'

/** Slots that there are at least, and how full they may be: then what is looked for is found in a few steps. */
const MIN_SLOTS = 16
const MAX_FULL = 0.8

/**
 * In how many kinds a slot tells tags apart at least, if tags have as many: one of so many that are met on the way is
 * taken for another. For secrets so many that whoever misses does not meet one, for that takes time.
 */
const [KINDS, KINDS_OF_SECRETS] = [16, 4_096]

/**
 * An open hash table; what has met another tag's slot lies in the next free one. A slot is 0 when it is free, else a
 * place and one in its lower bits, and in the upper ones those of the tag.
 */
export class TagIndex {
  readonly #tagAt: (place: number) => number
  readonly #minKinds: number
  #slots = new PackedNumbers(0, 0)
  /** A power of two, more than any place and one: what of a slot is below it is the place. */
  #places = 1
  #kinds = 1
  #size = 0

  /**
   * @param tagAt the tag that a place was added with, for as long as it is in the index
   * @param expected how many there will be, about
   */
  constructor(tagAt: (place: number) => number, expected = 0, minKinds = KINDS) {
    this.#tagAt = tagAt
    this.#minKinds = minKinds
    let slots = MIN_SLOTS
    while (slots * MAX_FULL < expected) slots *= 2
    this.#rehash(slots, 0)
  }

  /** @param isWanted asked of places whose tag it is, and now and then of another */
  find(tag: number, isWanted: (place: number) => boolean): number | undefined {
    const slot = this.#slotOf(tag, isWanted)
    return slot === undefined ? undefined : this.#placeIn(slot)
  }

  add(tag: number, place: number): void {
    const { length } = this.#slots
    const isFull = this.#size >= length * MAX_FULL
    if (isFull || place + 1 >= this.#places) this.#rehash(isFull ? 2 * length : length, place)
    this.#size += 1
    this.#put(tag, place)
  }

  /** What was added with the same tag and place. */
  delete(tag: number, place: number): void {
    let free = this.#slotOf(tag, (candidate) => candidate === place)
    if (free === undefined) return
    this.#size -= 1
    // What lies behind it moves up, unless it would lie before where it belongs.
    for (let slot = this.#next(free); this.#slots.at(slot) !== 0; slot = this.#next(slot)) {
      const home = this.#home(this.#tagAt(this.#placeIn(slot)))
      const distance = (from: number, to: number) => (to - from) & (this.#slots.length - 1)
      if (distance(home, slot) < distance(free, slot)) continue
      this.#slots.set(free, this.#slots.at(slot))
      free = slot
    }
    this.#slots.set(free, 0)
  }

  #slotOf(tag: number, isWanted: (place: number) => boolean): number | undefined {
    const kind = this.#upper(tag) * this.#places
    for (let slot = this.#home(tag); ; slot = this.#next(slot)) {
      const word = this.#slots.at(slot)
      if (word === 0) return undefined
      const above = word - kind
      if (above > 0 && above < this.#places && isWanted(above - 1)) return slot
    }
  }

  #placeIn(slot: number): number {
    return (this.#slots.at(slot) % this.#places) - 1
  }

  #upper(word: number): number {
    return Math.floor(word / this.#places) % this.#kinds
  }

  #home(tag: number): number {
    return tag & (this.#slots.length - 1)
  }

  #next(slot: number): number {
    return (slot + 1) & (this.#slots.length - 1)
  }

  #put(tag: number, place: number): void {
    let slot = this.#home(tag)
    while (this.#slots.at(slot) !== 0) slot = this.#next(slot)
    this.#slots.set(slot, this.#upper(tag) * this.#places + place + 1)
  }

  /** Makes room, also for this place. */
  #rehash(slots: number, place: number): void {
    const { length } = this.#slots
    const known = Uint32Array.from({ length }, (_, slot) => this.#placeIn(slot) + 1)
    this.#places = Math.max(this.#places, 2 * slots)
    while (place + 1 >= this.#places) this.#places *= 2
    // A tag of 32 bits has no more kinds than that.
    const most = Math.max(Math.min(this.#places * this.#minKinds, 2 ** 32), this.#places)
    this.#slots = new PackedNumbers(slots, most - 1)
    this.#kinds = (this.#slots.max + 1) / this.#places
    for (const next of known) if (next > 0) this.#put(this.#tagAt(next - 1), next - 1)
  }
}

/** Places by keys: whoever came first with one is found. */
export class KeyIndex {
  readonly #keyAt: (place: number) => string | undefined
  readonly #isSame: (one: string, other: string) => boolean
  readonly #index: TagIndex
  /** What a key is looked for by. */
  readonly tagOf: (key: string) => number

  constructor({ keyAt, tagOf, isSame, expected, kinds }: KeyIndexOptions) {
    this.#keyAt = keyAt
    this.#isSame = isSame
    this.tagOf = tagOf
    this.#index = new TagIndex((place) => tagOf(keyAt(place) ?? ''), expected, kinds)
  }

  find(key: string, tag = this.tagOf(key)): number | undefined {
    return this.#index.find(tag, (place) => this.#isSame(this.#keyAt(place) ?? '', key))
  }

  add(key: string, place: number, tag = this.tagOf(key)): void {
    if (this.find(key, tag) === undefined) this.#index.add(tag, place)
  }

  delete(key: string, place: number): void {
    this.#index.delete(this.tagOf(key), place)
  }
}

interface KeyIndexOptions {
  readonly keyAt: (place: number) => string | undefined
  readonly tagOf: (key: string) => number
  readonly isSame: (one: string, other: string) => boolean
  /** How many there will be, about. */
  readonly expected: number
  /** In how many kinds tags are told apart. */
  readonly kinds?: number
}

/** By secrets: looked for by the beginning of a digest under a random key, compared in constant time then (D55). */
export function secretIndex(
  keyAt: (place: number) => string | undefined,
  expected: number,
): KeyIndex {
  const random = randomBytes(32).toString('hex')
  const tagOf = (secret: string) => Number.parseInt(hash('sha256', random + secret).slice(0, 8), 16)
  // Not from the pool of Buffer: what a session keeps of that would keep all that its login had of it.
  const encoder = new TextEncoder()
  const isSame = (one: string, other: string): boolean => {
    const [found, wanted] = [encoder.encode(one), encoder.encode(other)]
    return found.length === wanted.length && timingSafeEqual(found, wanted)
  }
  return new KeyIndex({ keyAt, tagOf, isSame, expected, kinds: KINDS_OF_SECRETS })
}

/** By texts that are no secret. */
export function textIndex(keyAt: (place: number) => string, expected: number): KeyIndex {
  return new KeyIndex({ keyAt, tagOf: textTag, isSame: (one, other) => one === other, expected })
}

/** Different for different texts, as a rule (FNV-1a), and mixed, for the index goes by its last bits. */
function textTag(text: string): number {
  let tag = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) {
    tag = Math.imul(tag ^ text.charCodeAt(index), 0x01000193)
  }
  tag ^= tag >>> 15
  return Math.imul(tag, 0x2c1b3c6d) >>> 0
}
