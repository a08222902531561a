// What a TLS client asks for in its ClientHello, looked at before TLS is (RFC 8446, sections 4.1.2 and 5.1).
// Must never wait for more bytes than a ClientHello may have.
import { concatBytes } from './bytes.ts'
import { RECORD_HEAD_LENGTH, RECORD_SIZE } from './tls-record.ts'

/** The part of a ClientHello that says where to go. */
export interface ClientHello {
  /** SNI (RFC 6066, section 3), as sent. */
  readonly serverName: string | undefined
  /** ALPN (RFC 7301), in the client's order; empty without. */
  readonly protocols: readonly string[]
}

const HANDSHAKE_RECORD = 22
const CLIENT_HELLO = 1
/** Most bytes that are looked at: one full record. The ClientHellos of browsers have 2 KiB at most. */
const LOOK_MAX = RECORD_HEAD_LENGTH + RECORD_SIZE
const SERVER_NAME = 0
const ALPN = 16

/**
 * Reads the ClientHello that a connection begins with; `more` when bytes are missing, `none` for what cannot be
 * one, which shows as early as it can.
 */
export function readClientHello(bytes: Uint8Array): ClientHello | 'more' | 'none' {
  const hello = joinRecords(bytes)
  if (hello === 'none' || (hello[0] ?? CLIENT_HELLO) !== CLIENT_HELLO) return 'none'
  if (hello.length < 4) return waitFor(bytes)
  const length = 4 + new Reader(hello.subarray(1)).number(3)
  if (length > RECORD_SIZE) return 'none'
  if (hello.length < length) return waitFor(bytes)
  try {
    return parseHello(new Reader(hello.subarray(4, length)))
  } catch {
    return 'none'
  }
}

function waitFor(bytes: Uint8Array): 'more' | 'none' {
  return bytes.length < LOOK_MAX ? 'more' : 'none'
}

/** What the records carry so far; the last one may be cut off. */
function joinRecords(bytes: Uint8Array): Uint8Array | 'none' {
  const joined: Uint8Array[] = []
  for (let offset = 0; offset < bytes.length;) {
    const [type, major] = bytes.subarray(offset)
    if (type !== HANDSHAKE_RECORD || (major ?? 3) !== 3) return 'none'
    if (bytes.length < offset + RECORD_HEAD_LENGTH) break
    const length = new Reader(bytes.subarray(offset + 3)).number(2)
    if (length === 0 || length > RECORD_SIZE) return 'none'
    offset += RECORD_HEAD_LENGTH
    joined.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  return concatBytes(joined)
}

function parseHello(hello: Reader): ClientHello {
  // Version, random, session id, cipher suites, compression methods.
  hello.take(2 + 32)
  hello.take(hello.number(1))
  hello.take(hello.number(2))
  hello.take(hello.number(1))
  let serverName: string | undefined
  let protocols: readonly string[] = []
  const extensions = hello.done ? hello : new Reader(hello.take(hello.number(2)))
  while (!extensions.done) {
    const type = extensions.number(2)
    const body = new Reader(extensions.take(extensions.number(2)))
    if (type === SERVER_NAME) serverName = parseServerName(body)
    if (type === ALPN) protocols = parseProtocols(body)
  }
  return { serverName, protocols }
}

function parseServerName(body: Reader): string | undefined {
  const names = new Reader(body.take(body.number(2)))
  const isHostName = names.number(1) === 0
  const name = names.take(names.number(2))
  return isHostName ? String.fromCharCode(...name) : undefined
}

function parseProtocols(body: Reader): string[] {
  const list = new Reader(body.take(body.number(2)))
  const protocols: string[] = []
  while (!list.done) protocols.push(String.fromCharCode(...list.take(list.number(1))))
  return protocols
}

/** Takes bytes off the front of some. @throws RangeError when they are missing */
class Reader {
  #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#bytes.length === 0
  }

  take(count: number): Uint8Array {
    if (count > this.#bytes.length) throw new RangeError('cut off')
    const taken = this.#bytes.subarray(0, count)
    this.#bytes = this.#bytes.subarray(count)
    return taken
  }

  /** Big-endian, of `count` bytes. */
  number(count: number): number {
    return this.take(count).reduce((value, byte) => value * 256 + byte, 0)
  }
}
