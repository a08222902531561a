// Addresses of a place that this server itself dials, and nobody else through it.
import type { Address } from '../../codec/address.ts'
import { isLoopback } from '../../codec/network.ts'
import type { StoreOptions } from '../users/store.ts'

const MAX_ADDRESSES = 64

export class Reserved {
  readonly #reserve: StoreOptions['reserve']
  readonly #releases = new Map<string, () => void>()

  constructor(reserve: StoreOptions['reserve']) {
    this.#reserve = reserve
  }

  /** To be told of each address before it is dialled. */
  add({ host, port }: Address): void {
    this.#add({ host, port })
    // What listens on loopback may be reached by other addresses of this machine as well.
    if (isLoopback(host)) this.#add({ host: '0.0.0.0', port })
  }

  #add(address: Address): void {
    const key = `${address.host} ${address.port}`
    if (this.#reserve === undefined) return
    const release = this.#releases.get(key) ?? this.#reserve(address)
    this.#releases.delete(key)
    this.#releases.set(key, release)
    for (const [oldest, releaseIt] of this.#releases) {
      if (this.#releases.size <= MAX_ADDRESSES) break
      this.#releases.delete(oldest)
      releaseIt()
    }
  }
}
