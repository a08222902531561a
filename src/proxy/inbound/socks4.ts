// The server side of a SOCKS4 and SOCKS4a handshake as a machine, with the events of SOCKS5.
// Must never serve a port that asks for a password: SOCKS4 has none.
import { concatBytes } from '../../codec/bytes.ts'
import { formatIPv4, unmappedHost } from '../../codec/ip.ts'
import { toAsciiName } from '../host.ts'
import type { Socks5Event } from './socks5.ts'

/** What the driver must do. */
export type Socks4Event = Exclude<Socks5Event, { readonly type: 'associate' }>

const Reply = { Granted: 90, Rejected: 91 } as const
const COMMAND_CONNECT = 1
/** Command, port and address stand in front of the texts. */
const HEAD_LENGTH = 8
/** The longest user id and name, in bytes. Nobody looks at the user id. */
const MAX_TEXT = 255
const NO_BYTES = new Uint8Array(0)

/** The only reply there is: whether the tunnel stands. */
export function encodeSocks4Reply(granted: boolean): Uint8Array {
  return Uint8Array.of(0, granted ? Reply.Granted : Reply.Rejected, 0, 0, 0, 0, 0, 0)
}

/** One handshake. CONNECT alone is served: BIND makes no sense through a tunnel. */
export class Socks4Handshake {
  readonly #hasPassword: boolean
  #pending: Uint8Array = NO_BYTES
  #over = false

  /** @param hasPassword whether programs must give one, which they cannot here */
  constructor(hasPassword: boolean) {
    this.#hasPassword = hasPassword
  }

  /** Takes bytes from the client, in any segmentation, and keeps none of them. Once the handshake is over it ignores them. */
  receive(chunk: Uint8Array): readonly Socks4Event[] {
    if (this.#over) return []
    const bytes = concatBytes([this.#pending, chunk])
    const events = this.#request(bytes)
    this.#over = events.length > 0
    this.#pending = this.#over ? NO_BYTES : bytes
    return events
  }

  /** VER, CMD, DSTPORT, DSTIP, USERID, 0; with 4a and an address of 0.0.0.x: the name, 0. */
  #request(bytes: Uint8Array): readonly Socks4Event[] {
    const command = bytes[1]
    if (command === undefined) return []
    if (this.#hasPassword) return refused('SOCKS4 has no password: use SOCKS5 or HTTP')
    if (command !== COMMAND_CONNECT) return refused(`command ${command} is not served`)
    if (bytes.length < HEAD_LENGTH) return []
    const userEnd = endOfText(bytes, HEAD_LENGTH)
    if (userEnd === 'too long') return refused('the user id is too long')
    if (userEnd === undefined) return []
    const [high = 0, low = 0] = bytes.subarray(2, 4)
    const port = (high << 8) | low
    const ip = bytes.subarray(4, HEAD_LENGTH)
    const hasName = ip.subarray(0, 3).every((byte) => byte === 0) && ip[3] !== 0
    if (!hasName) {
      return [
        {
          type: 'connect',
          target: { host: formatIPv4(ip), port },
          rest: bytes.subarray(userEnd + 1),
        },
      ]
    }
    const nameEnd = endOfText(bytes, userEnd + 1)
    if (nameEnd === 'too long') return refused('the name is too long')
    if (nameEnd === undefined) return []
    const host = toAsciiName(Buffer.from(bytes.subarray(userEnd + 1, nameEnd)).toString('utf8'))
    if (host === undefined || host === '') return refused('the target address is not valid')
    return [
      {
        type: 'connect',
        target: { host: unmappedHost(host), port },
        rest: bytes.subarray(nameEnd + 1),
      },
    ]
  }
}

/** Where the zero byte behind a text stands; `undefined` when it has not come yet. */
function endOfText(bytes: Uint8Array, start: number): number | 'too long' | undefined {
  const end = bytes.indexOf(0, start)
  if ((end === -1 ? bytes.length : end) - start > MAX_TEXT) return 'too long'
  return end === -1 ? undefined : end
}

function refused(reason: string): readonly Socks4Event[] {
  return [
    { type: 'send', bytes: encodeSocks4Reply(false) },
    { type: 'refuse', reason },
  ]
}
