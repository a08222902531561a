// Where the datagrams of one association go: policy asked and names resolved once for each target.
// Must never remember, or have waiting, more than its bounds allow, whatever the client sends.
import { isIP, isIPv4 } from 'node:net'
import { AnyTlsError } from '../../errors.ts'
import type { Address } from '../../codec/address.ts'
import { formatIPv6, parseIPv6 } from '../../codec/ip.ts'
import type { Lookup } from '../outbound/outbound.ts'
import { unmappedHost } from '../../codec/ip.ts'
import { resolve } from '../outbound/outbound.ts'
import type { AllowAddress, AllowTarget } from '../outbound/policy.ts'
import { allowedOf, askPolicy } from '../outbound/policy.ts'
import type { UdpCounts, UdpEndpoint } from './udp-socket.ts'
import { UDP_MAX_WAITING, UDP_MAX_WAITING_BYTES } from './udp-socket.ts'

/** What the table needs of its association. */
interface UdpTargetsOptions {
  readonly allowTarget: AllowTarget | undefined
  readonly allowAddress: AllowAddress | undefined
  /** Missing: the system's resolver. */
  readonly lookup: Lookup | undefined
  readonly counts: UdpCounts
  /** Sends a datagram to where it belongs. */
  readonly transmit: (endpoint: UdpEndpoint, data: Uint8Array) => void
  /** Told of a target that gets nothing, once as long as it is remembered. */
  readonly onRefused: (target: Address, error: AnyTlsError) => void
}

// Targets that are remembered; the oldest is forgotten for a new one.
const MAX_TARGETS = 256
// Questions to policy and resolver under way at once. One that is never answered costs its place.
const MAX_QUESTIONS = 16
// How long an answer holds, in ms. A target in use keeps its address: a flow must not change its other end.
const ANSWER_LIFETIME = 60_000
const FAILURE_LIFETIME = 5_000

interface Entry {
  readonly target: Address
  /** A target that may be sent to has an endpoint, one that may not has the count of its datagrams. */
  state: 'asking' | UdpEndpoint | 'refused' | 'failed'
  expires: number
  /** Datagrams that wait for the answer. */
  waiting: Uint8Array[]
}

/** The targets of one association. */
export class UdpTargets {
  readonly #options: UdpTargetsOptions
  readonly #entries = new Map<string, Entry>()
  #questions = 0
  #waitingBytes = 0
  #waiting = 0

  constructor(options: UdpTargetsOptions) {
    this.#options = options
  }

  /**
   * Sends `data` to `target`: at once, or when policy and resolver have answered. A name goes to its first
   * IPv4 address if it has one, as datagrams cannot try one address after the other. Never throws.
   */
  send(target: Address, data: Uint8Array): void {
    const { counts, transmit } = this.#options
    const entry = this.#entryFor(target)
    if (entry === undefined) {
      counts.dropped += 1
      return
    }
    switch (entry.state) {
      case 'asking':
        this.#wait(entry, data)
        break
      case 'refused':
      case 'failed':
        counts[entry.state] += 1
        break
      default:
        entry.expires = performance.now() + ANSWER_LIFETIME
        transmit(entry.state, data)
    }
  }

  /** Whether what comes from there comes from a target, which is in use then: a flow may long do nothing but receive. */
  isAnswer({ address, port }: Omit<UdpEndpoint, 'family'>): boolean {
    const now = performance.now()
    let isKnown = false
    for (const entry of this.#entries.values()) {
      const { state } = entry
      if (typeof state !== 'object' || state.port !== port || state.address !== address) continue
      // One whose time is over is asked for anew with the next datagram.
      if (now < entry.expires) entry.expires = now + ANSWER_LIFETIME
      isKnown = true
    }
    return isKnown
  }

  /** Forgets everything; answers that are still to come are ignored. */
  clear(): void {
    for (const entry of this.#entries.values()) this.#takeWaiting(entry)
    this.#entries.clear()
  }

  /** `undefined` when there is no room for another question. */
  #entryFor(target: Address): Entry | undefined {
    const key = keyOf(target)
    const known = this.#entries.get(key)
    if (known !== undefined && performance.now() < known.expires) return known
    const { host, port } = target
    // As IPv4, for policy as for the socket: a socket for IPv6 cannot reach it.
    const entry: Entry = {
      target: { host: unmappedHost(host), port },
      state: 'asking',
      expires: Infinity,
      waiting: [],
    }
    const question = this.#answerAtOnce(entry)
    if (question !== undefined && this.#questions >= MAX_QUESTIONS) {
      return undefined
    }
    this.#entries.delete(key)
    this.#makeRoom()
    this.#entries.set(key, entry)
    if (question !== undefined) void this.#ask(entry, question)
    return entry
  }

  /** Settles `entry` where nobody has to be waited for, else returns what policy will say. */
  #answerAtOnce(entry: Entry): Promise<boolean> | undefined {
    const { target } = entry
    const allowed = askPolicy(this.#options.allowTarget, target, 'udp')
    if (allowed === false) {
      this.#refuse(entry, new AnyTlsError('ERR_TARGET_REJECTED'))
    } else if (allowed === true && isIP(target.host) !== 0) {
      this.#open(entry, [target.host])
    } else {
      return Promise.resolve(allowed)
    }
    return undefined
  }

  async #ask(entry: Entry, question: Promise<boolean>): Promise<void> {
    this.#questions += 1
    let settle: () => void
    try {
      if (!(await question)) throw new AnyTlsError('ERR_TARGET_REJECTED')
      const addresses = await resolve(entry.target.host, this.#options.lookup)
      settle = () => this.#open(entry, addresses)
    } catch (cause) {
      const error =
        cause instanceof AnyTlsError
          ? cause
          : new AnyTlsError('ERR_DIAL_FAILED', undefined, { cause })
      settle = () => this.#refuse(entry, error)
    }
    this.#questions -= 1
    // Forgotten meanwhile, or the association is over.
    if (this.#entries.get(keyOf(entry.target)) !== entry) return
    settle()
    for (const data of this.#takeWaiting(entry)) this.send(entry.target, data)
  }

  #open(entry: Entry, found: readonly string[]): void {
    let addresses
    try {
      addresses = allowedOf(found, entry.target.port, this.#options.allowAddress)
    } catch (error) {
      if (!(error instanceof AnyTlsError)) throw error
      this.#refuse(entry, error)
      return
    }
    const address = addresses.find((candidate) => isIPv4(candidate)) ?? addresses[0]
    if (address === undefined) {
      this.#refuse(entry, new AnyTlsError('ERR_DIAL_FAILED'))
      return
    }
    // As the system writes the source of an answer.
    const ipv6 = parseIPv6(address)
    entry.state = {
      address: ipv6 === undefined ? address : formatIPv6(ipv6),
      port: entry.target.port,
      family: isIPv4(address) ? 4 : 6,
    }
    entry.expires = performance.now() + ANSWER_LIFETIME
  }

  #refuse(entry: Entry, error: AnyTlsError): void {
    const refused = error.code === 'ERR_TARGET_REJECTED'
    entry.state = refused ? 'refused' : 'failed'
    entry.expires = performance.now() + (refused ? ANSWER_LIFETIME : FAILURE_LIFETIME)
    this.#options.onRefused(entry.target, error)
  }

  #wait(entry: Entry, data: Uint8Array): void {
    if (
      this.#waiting >= UDP_MAX_WAITING ||
      this.#waitingBytes + data.length > UDP_MAX_WAITING_BYTES
    ) {
      this.#options.counts.dropped += 1
      return
    }
    this.#waiting += 1
    this.#waitingBytes += data.length
    // A copy, which the slice of a Buffer is not: the view may be a small part of a large chunk.
    entry.waiting.push(new Uint8Array(data))
  }

  #takeWaiting(entry: Entry): readonly Uint8Array[] {
    const { waiting } = entry
    entry.waiting = []
    this.#waiting -= waiting.length
    for (const { length } of waiting) this.#waitingBytes -= length
    return waiting
  }

  #makeRoom(): void {
    if (this.#entries.size < MAX_TARGETS) return
    for (const [key, oldest] of this.#entries) {
      this.#options.counts.dropped += this.#takeWaiting(oldest).length
      this.#entries.delete(key)
      return
    }
  }
}

function keyOf({ host, port }: Address): string {
  return `${unmappedHost(host)} ${port}`
}
