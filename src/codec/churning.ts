// A map and a set for what comes and goes: streams, connections, requests.
// One Map or Set that lives for ever costs memory: when the table inside of one is full, V8 makes the next one, and
// the old one leads to it. Once such a table has survived a full collection, each table that follows is kept by the
// dead one before it, with all that was ever in it, until the next full collection: the young generation is never
// empty again.

/** After how many additions, beside twice what is there, what is there moves to a fresh one. */
const RENEWAL = 64

/** A Map for entries that come and go. */
export class ChurningMap<K, V> {
  /** Made with the first entry: most sessions are idle, and have several of these. */
  #map: Map<K, V> | undefined
  #added = 0

  get size(): number {
    return this.#map?.size ?? 0
  }

  get(key: K): V | undefined {
    return this.#map?.get(key)
  }

  set(key: K, value: V): void {
    this.#added += 1
    if (this.#map === undefined || this.#added > RENEWAL + 2 * this.#map.size) {
      this.#map = new Map(this.#map)
      this.#added = 0
    }
    this.#map.set(key, value)
  }

  /** @returns whether it was there */
  delete(key: K): boolean {
    return this.#map?.delete(key) === true
  }

  clear(): void {
    this.#map = undefined
  }

  /** What is there now, in a list of its own, in the order of coming. */
  list(): V[] {
    return [...this.values()]
  }

  /** As {@link list}, with their keys. */
  entries(): [K, V][] {
    return this.#map === undefined ? [] : [...this.#map]
  }

  /** What is there, in the order of coming, for as long as nothing comes. */
  values(): Iterable<V> {
    return this.#map?.values() ?? []
  }

  /** What came first of what is there. */
  get first(): V | undefined {
    const [first] = this.values()
    return first
  }
}

/** A Set for what comes and goes. */
export class ChurningSet<T> {
  readonly #map = new ChurningMap<T, T>()

  get size(): number {
    return this.#map.size
  }

  add(item: T): void {
    if (this.#map.get(item) === undefined) this.#map.set(item, item)
  }

  has(item: T): boolean {
    return this.#map.get(item) !== undefined
  }

  /** @returns whether it was there */
  delete(item: T): boolean {
    return this.#map.delete(item)
  }

  /** What is there now, in a list of its own, in the order of coming. */
  list(): T[] {
    return this.#map.list()
  }
}
