// Lines that may come in floods, said once a minute each.

const INTERVAL = 60_000
const MAX_KEYS = 256

interface Said {
  readonly at: number
  /** How often it was held back since. */
  heldBack: number
}

/** Decides what is said. */
export class RateLimit {
  readonly #said = new Map<string, Said>()
  readonly #now: () => number

  /** @param now in milliseconds, for tests */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Calls `say` unless it was called for `key` within the last minute; `heldBack` is how often it was not, since. */
  tell(key: string, say: (heldBack: number) => void): void {
    const now = this.#now()
    const said = this.#said.get(key)
    if (said !== undefined && now - said.at < INTERVAL) {
      said.heldBack += 1
      return
    }
    this.#said.delete(key)
    this.#said.set(key, { at: now, heldBack: 0 })
    const oldest = this.#said.keys().next()
    if (this.#said.size > MAX_KEYS && oldest.done !== true) this.#said.delete(oldest.value)
    say(said?.heldBack ?? 0)
  }
}
