// Places by tags of 32 bits: an index that takes some ten bytes an entry, and no object.
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'

/** An open hash table; what has met another tag's slot lies in the next free one. */
export class TagIndex {
  #tags = new Uint32Array(16)
  /** A place and one; 0 for a free slot. */
  #places = new Uint32Array(16)
  #size = 0

  /** @param isWanted asked of places whose tag it is */
  find(tag: number, isWanted: (place: number) => boolean): number | undefined {
    const slot = this.#slotOf(tag, isWanted)
    return slot === undefined ? undefined : this.#placeIn(slot)
  }

  add(tag: number, place: number): void {
    if (this.#size >= this.#tags.length * 0.8) this.#grow()
    this.#size += 1
    this.#put(tag, place)
  }

  /** What was added with the same tag and place. */
  delete(tag: number, place: number): void {
    let free = this.#slotOf(tag, (candidate) => candidate === place)
    if (free === undefined) return
    this.#size -= 1
    // What lies behind it moves up, unless it would lie before where it belongs.
    for (let slot = this.#next(free); this.#places[slot] !== 0; slot = this.#next(slot)) {
      const home = this.#home(this.#tags[slot] ?? 0)
      const distance = (from: number, to: number) => (to - from) & (this.#tags.length - 1)
      if (distance(home, slot) < distance(free, slot)) continue
      this.#tags[free] = this.#tags[slot] ?? 0
      this.#places[free] = this.#places[slot] ?? 0
      free = slot
    }
    this.#places[free] = 0
  }

  #slotOf(tag: number, isWanted: (place: number) => boolean): number | undefined {
    for (let slot = this.#home(tag); this.#places[slot] !== 0; slot = this.#next(slot)) {
      if (this.#tags[slot] === tag && isWanted(this.#placeIn(slot))) return slot
    }
    return undefined
  }

  #placeIn(slot: number): number {
    return (this.#places[slot] ?? 0) - 1
  }

  #home(tag: number): number {
    return tag & (this.#tags.length - 1)
  }

  #next(slot: number): number {
    return (slot + 1) & (this.#tags.length - 1)
  }

  #put(tag: number, place: number): void {
    let slot = this.#home(tag)
    while (this.#places[slot] !== 0) slot = this.#next(slot)
    this.#tags[slot] = tag
    this.#places[slot] = place + 1
  }

  #grow(): void {
    const [tags, places] = [this.#tags, this.#places]
    this.#tags = new Uint32Array(tags.length * 2)
    this.#places = new Uint32Array(tags.length * 2)
    for (const [slot, place] of places.entries()) {
      if (place !== 0) this.#put(tags[slot] ?? 0, place - 1)
    }
  }
}

/** Places by secrets: looked for by the beginning of a digest under a random key, compared in constant time then (D55). */
export class SecretIndex {
  readonly #key = randomBytes(32).toString('hex')
  readonly #index = new TagIndex()
  readonly #secretAt: (place: number) => string | undefined

  constructor(secretAt: (place: number) => string | undefined) {
    this.#secretAt = secretAt
  }

  find(secret: string): number | undefined {
    return this.#find(secret, this.#tag(secret))
  }

  /** Whoever came first with a secret is found. */
  add(secret: string, place: number): void {
    const tag = this.#tag(secret)
    if (this.#find(secret, tag) === undefined) this.#index.add(tag, place)
  }

  delete(secret: string, place: number): void {
    this.#index.delete(this.#tag(secret), place)
  }

  #find(secret: string, tag: number): number | undefined {
    return this.#index.find(tag, (place) => {
      const found = Buffer.from(this.#secretAt(place) ?? '')
      const wanted = Buffer.from(secret)
      return found.length === wanted.length && timingSafeEqual(found, wanted)
    })
  }

  #tag(secret: string): number {
    return Number.parseInt(hash('sha256', this.#key + secret).slice(0, 8), 16)
  }
}

/** Places by texts that are no secret. */
export class TextIndex {
  readonly #index = new TagIndex()
  readonly #textAt: (place: number) => string

  constructor(textAt: (place: number) => string) {
    this.#textAt = textAt
  }

  find(text: string): number | undefined {
    return this.#index.find(tagOf(text), (place) => this.#textAt(place) === text)
  }

  /** Whoever came first with a text is found. */
  add(text: string, place: number): void {
    if (this.find(text) === undefined) this.#index.add(tagOf(text), place)
  }

  delete(text: string, place: number): void {
    this.#index.delete(tagOf(text), place)
  }
}

/** Different for different texts, as a rule (FNV-1a), and mixed, for the index goes by its last bits. */
function tagOf(text: string): number {
  let tag = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) {
    tag = Math.imul(tag ^ text.charCodeAt(index), 0x01000193)
  }
  tag ^= tag >>> 15
  return Math.imul(tag, 0x2c1b3c6d) >>> 0
}
