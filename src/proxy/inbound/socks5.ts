// The server side of a SOCKS5 handshake (RFC 1928, RFC 1929) as a machine: bytes in, events out.
// Must never hold more than one message of the handshake, or drop a byte that follows it.
import type { Address } from '../../codec/address.ts'
import { AddressType, encodeAddress } from '../../codec/address.ts'
import { concatBytes } from '../../codec/bytes.ts'
import { decodeProgramAddress } from '../host.ts'
import type { CheckCredentials } from './credentials.ts'

/** Replies to a request (RFC 1928 section 6) that have a use here beside {@link FAILURES}. */
export const Socks5Reply = {
  Succeeded: 0,
  GeneralFailure: 1,
  CommandNotSupported: 7,
  AddressTypeNotSupported: 8,
} as const

/** What the driver of the handshake must do, in order. All but `send` are always the last. */
export type Socks5Event =
  /** Send these bytes to the client. */
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  /** Connect to `target`, then send {@link encodeSocks5Reply}. `rest` followed the request already. */
  | { readonly type: 'connect'; readonly target: Address; readonly rest: Uint8Array }
  /**
   * Open an association for datagrams, then send {@link encodeSocks5Reply} with its address. `source` is
   * where the client says it will send from, port 0 when it does not know (RFC 1928 section 4).
   */
  | { readonly type: 'associate'; readonly source: Address }
  /** Close the connection once everything is sent. `reason` is text of ours, for a log. */
  | { readonly type: 'refuse'; readonly reason: string }

/**
 * A reply to a request. `bound` is where datagrams are to be sent; to CONNECT it is all zeros, as what the
 * server's end is called is its own affair.
 */
export function encodeSocks5Reply(reply: number, bound?: Address): Uint8Array {
  const address = bound === undefined ? NO_ADDRESS : encodeAddress(bound)
  return concatBytes([Uint8Array.of(VERSION, reply, 0), address])
}

const NO_ADDRESS = encodeAddress({ host: '0.0.0.0', port: 0 })
const VERSION = 5
const CREDENTIALS_VERSION = 1
const Method = { None: 0, Credentials: 2, Unacceptable: 0xff } as const
const Command = { Connect: 1, UdpAssociate: 3 } as const
const NO_BYTES = new Uint8Array(0)

/** One handshake. CONNECT and UDP ASSOCIATE are served; with `check`, only with username and password (RFC 1929). */
export class Socks5Handshake {
  readonly #check: CheckCredentials | undefined
  #state: 'greeting' | 'credentials' | 'request' | 'over' = 'greeting'
  /** The front of a message that is not complete: at most 513 bytes, the longest message there is. */
  #pending: Uint8Array = NO_BYTES

  constructor(check?: CheckCredentials) {
    this.#check = check
  }

  /** Takes bytes from the client, in any segmentation, and keeps none of them. Once the handshake is over it ignores them. */
  receive(chunk: Uint8Array): readonly Socks5Event[] {
    const events: Socks5Event[] = []
    let bytes = this.#pending.length > 0 ? concatBytes([this.#pending, chunk]) : chunk
    for (;;) {
      const taken = this.#step(bytes, events)
      if (taken === 0) break
      bytes = bytes.subarray(taken)
    }
    this.#pending = this.#state === 'over' || bytes.length === 0 ? NO_BYTES : bytes.slice()
    return events
  }

  /** Handles the message at the front of `bytes` and returns its length, 0 when it is not complete. */
  #step(bytes: Uint8Array, events: Socks5Event[]): number {
    switch (this.#state) {
      case 'greeting':
        return this.#greeting(bytes, events)
      case 'credentials':
        return this.#credentials(bytes, events)
      case 'request':
        return this.#request(bytes, events)
      case 'over':
        return 0
    }
  }

  /** VER, NMETHODS, METHODS (RFC 1928 section 3). */
  #greeting(bytes: Uint8Array, events: Socks5Event[]): number {
    const [version, count] = bytes
    if (version === undefined) return 0
    if (version !== VERSION) return this.#refuse(events, `version ${version} instead of 5`)
    if (count === undefined || bytes.length < 2 + count) return 0
    const offered = bytes.subarray(2, 2 + count)
    // An open port takes any credentials from a program that will not go without.
    const accepted =
      this.#check === undefined ? [Method.None, Method.Credentials] : [Method.Credentials]
    const method = accepted.find((candidate) => offered.includes(candidate))
    if (method === undefined) {
      events.push({ type: 'send', bytes: Uint8Array.of(VERSION, Method.Unacceptable) })
      return this.#refuse(events, 'no acceptable authentication method')
    }
    events.push({ type: 'send', bytes: Uint8Array.of(VERSION, method) })
    this.#state = method === Method.None ? 'request' : 'credentials'
    return 2 + count
  }

  /** VER, ULEN, UNAME, PLEN, PASSWD (RFC 1929 section 2). */
  #credentials(bytes: Uint8Array, events: Socks5Event[]): number {
    const [version, usernameLength] = bytes
    if (version === undefined) return 0
    if (version !== CREDENTIALS_VERSION) {
      return this.#refuse(events, `credentials of version ${version} instead of 1`)
    }
    if (usernameLength === undefined) return 0
    const passwordStart = 2 + usernameLength + 1
    const passwordLength = bytes[passwordStart - 1]
    if (passwordLength === undefined || bytes.length < passwordStart + passwordLength) return 0
    const username = bytes.subarray(2, 2 + usernameLength)
    const password = bytes.subarray(passwordStart, passwordStart + passwordLength)
    const right = this.#check?.(username, password) ?? true
    events.push({ type: 'send', bytes: Uint8Array.of(CREDENTIALS_VERSION, right ? 0 : 1) })
    if (!right) return this.#refuse(events, 'wrong username or password')
    this.#state = 'request'
    return passwordStart + passwordLength
  }

  /** VER, CMD, RSV, ATYP, DST.ADDR, DST.PORT (RFC 1928 section 4). */
  #request(bytes: Uint8Array, events: Socks5Event[]): number {
    const [version, command, , addressType] = bytes
    if (version === undefined) return 0
    if (version !== VERSION)
      return this.#refuse(events, `request of version ${version} instead of 5`)
    if (command === undefined) return 0
    if (command !== Command.Connect && command !== Command.UdpAssociate) {
      return this.#reject(
        events,
        Socks5Reply.CommandNotSupported,
        `command ${command} is not served`,
      )
    }
    if (addressType === undefined) return 0
    if (!ADDRESS_TYPES.includes(addressType)) {
      const reason = `address type ${addressType} is not known`
      return this.#reject(events, Socks5Reply.AddressTypeNotSupported, reason)
    }
    let decoded
    try {
      decoded = decodeProgramAddress(bytes, 3)
    } catch {
      return this.#reject(events, Socks5Reply.GeneralFailure, 'the target address is not valid')
    }
    if (decoded === undefined) return 0
    this.#state = 'over'
    const { address } = decoded
    const length = 3 + decoded.length
    if (command === Command.Connect) {
      events.push({ type: 'connect', target: address, rest: bytes.subarray(length) })
    } else {
      events.push({ type: 'associate', source: address })
    }
    return length
  }

  #reject(events: Socks5Event[], reply: number, reason: string): 0 {
    events.push({ type: 'send', bytes: encodeSocks5Reply(reply) })
    return this.#refuse(events, reason)
  }

  #refuse(events: Socks5Event[], reason: string): 0 {
    this.#state = 'over'
    events.push({ type: 'refuse', reason })
    return 0
  }
}

const ADDRESS_TYPES: readonly number[] = Object.values(AddressType)
