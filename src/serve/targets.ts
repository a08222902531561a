// Which addresses a server dials for whom: asked about the very address that is dialled, never about a name.
// Must never let anybody but the server's operator reach the server itself through it.
import { networkInterfaces } from 'node:os'
import type { Address } from '../codec/address.ts'
import { formatIPv4, parseIPv4, parseIPv6, unmapped } from '../codec/ip.ts'
import { isInNetworks, isLoopback, parseNetwork } from '../codec/network.ts'
import type { Network } from '../codec/network.ts'

/** For how long the addresses of this machine are remembered, in milliseconds. */
const OWN_LIFETIME = 5_000

/** IPv4 that is not to be found in the public Internet (IANA's registry of special-purpose addresses), multicast too. */
const SPECIAL_IPV4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16'],
  ...['172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16'],
  ...['198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/3'],
].map(parseNetwork)

/** All of IPv6 that is given out as public; and what in it is not, or has IPv4 inside. */
const GLOBAL_IPV6 = [parseNetwork('2000::/3')]
const SPECIAL_IPV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'].map(parseNetwork)

/** Translators put IPv4 behind it (RFC 6052): what counts is where they send it to. */
const TRANSLATED = [parseNetwork('64:ff9b::/96')]

/** What `--block` takes. */
export type Block = Network | 'private'

/** What a {@link TargetPolicy} holds all users to. */
export interface TargetPolicyOptions {
  /** Dialled for nobody. */
  readonly block?: readonly Block[] | undefined
}

/** Who is asked for. Without limits, as everybody who has the password of the server itself. */
export interface TargetRights {
  /** May reach private addresses, too. */
  readonly allowPrivate: boolean
}

/** Which targets and addresses the users of a server may reach. */
export class TargetPolicy {
  #blocked: readonly Network[] = []
  #blocksPrivate = false
  readonly #reserved = new Set<Address>()
  #own: ReadonlySet<string> = new Set()
  #ownUntil = 0

  constructor({ block = [] }: TargetPolicyOptions = {}) {
    this.block(block)
  }

  /** From now on these, and no others, are dialled for nobody. */
  block(block: readonly Block[]): void {
    this.#blocked = block.filter((one) => one !== 'private')
    this.#blocksPrivate = block.includes('private')
  }

  /**
   * Keeps everybody from an address of the operator's: the admin page, a database. Its host is an IP address; of
   * what listens everywhere, every way to it is kept.
   *
   * @returns gives it free again
   */
  reserve(address: Address): () => void {
    this.#reserved.add(address)
    return () => this.#reserved.delete(address)
  }

  /** Whether `address`, an IP literal, may be dialled for somebody. */
  allows(rights: TargetRights | undefined, address: string, port: number): boolean {
    const ip = bytesOf(address)
    if (ip === undefined || this.#isReserved(address, ip, port)) return false
    if (isInNetworks(this.#blocked, address)) return false
    const restricted = this.#blocksPrivate || rights?.allowPrivate === false
    return !restricted || (isPublic(ip, address) && !this.#ownAddresses().has(keyOf(ip)))
  }

  #isReserved(address: string, ip: Uint8Array, port: number): boolean {
    for (const reserved of this.#reserved) {
      if (reserved.port !== port) continue
      const its = bytesOf(reserved.host)
      if (its === undefined) continue
      if (keyOf(its) === keyOf(ip)) return true
      // Whoever listens everywhere is reached at every address of this machine, and at none (0.0.0.0) too.
      const isHere = isLoopback(address) || isUnspecified(ip) || this.#ownAddresses().has(keyOf(ip))
      if (isUnspecified(its) && isHere) return true
      if (isUnspecified(ip) && isLoopback(reserved.host)) return true
    }
    return false
  }

  /** The addresses of this machine. */
  #ownAddresses(): ReadonlySet<string> {
    const now = performance.now()
    if (now >= this.#ownUntil) {
      const interfaces = Object.values(networkInterfaces()).flatMap((ones) => ones ?? [])
      const own = interfaces.map(({ address }) => bytesOf(address)).filter((ip) => ip !== undefined)
      this.#own = new Set(own.map(keyOf))
      this.#ownUntil = now + OWN_LIFETIME
    }
    return this.#own
  }
}

function isPublic(ip: Uint8Array, address: string): boolean {
  if (ip.length === 4) return !isInNetworks(SPECIAL_IPV4, formatIPv4(ip))
  if (isInNetworks(TRANSLATED, address)) {
    return !isInNetworks(SPECIAL_IPV4, formatIPv4(ip.subarray(12)))
  }
  return isInNetworks(GLOBAL_IPV6, address) && !isInNetworks(SPECIAL_IPV6, address)
}

function isUnspecified(ip: Uint8Array): boolean {
  return ip.every((byte) => byte === 0)
}

/** 4 or 16 bytes; IPv4 that is written as IPv6 is IPv4. A zone is left out. */
function bytesOf(address: string): Uint8Array | undefined {
  const [host = ''] = address.split('%', 1)
  const ip = parseIPv4(host) ?? parseIPv6(host)
  return ip && unmapped(ip)
}

function keyOf(ip: Uint8Array): string {
  return ip.join('.')
}
