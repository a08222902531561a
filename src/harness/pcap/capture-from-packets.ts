// Turns the packets of a file into a capture: follows each TCP connection, and reads the TLS records in it.
// Must never keep an address, a name or a payload: they are compared while the file is read, and let go.

import {
  MAX_CAPTURE_CONNECTIONS,
  MAX_CAPTURE_RECORDS,
  roundTime,
} from '../capture/capture-event.ts'
import type { CloseReason, LimitEvent } from '../capture/capture-event.ts'
import type { CapturedConnection, CapturedRecord } from '../capture/capture-parser.ts'
import { ContentType, RecordReader } from '../capture/record-reader.ts'
import type { TlsRecord } from '../capture/record-reader.ts'
import type { Direction } from '../simulate/workload.ts'
import type { Packet } from './packet-reader.ts'
import { decodeTcpSegment } from './tcp-segment.ts'
import type { TcpSegment } from './tcp-segment.ts'
import { TcpStream } from './tcp-stream.ts'
import type { WaitingBytes } from './tcp-stream.ts'

/** What is not in the capture, in connections. */
export interface LeftOut {
  /** Without a single TLS record. */
  readonly withoutTls: number
  /** Under way before the file begins: where their records begin is not known. */
  readonly underWay: number
}

/** What the packets were. */
export interface CapturedPackets {
  /** In the order in which they were opened. */
  readonly connections: readonly CapturedConnection[]
  readonly limit?: LimitEvent['of']
  readonly leftOut: LeftOut
}

/** Follows the connections of one file. */
export class ConnectionTable {
  readonly #maxRecords: number
  readonly #connections = new Map<string, Connection>()
  readonly #waiting: WaitingBytes = { total: 0 }
  readonly #found: Omit<CapturedConnection, 'connection'>[] = []
  #records = 0
  #withoutTls = 0
  #underWay = 0
  #limit: LimitEvent['of'] | undefined

  /** @param maxRecords after so many nothing is read any more */
  constructor(maxRecords = MAX_CAPTURE_RECORDS) {
    this.#maxRecords = maxRecords
  }

  /** Whether there is too much, so that more packets change nothing. */
  get isFull(): boolean {
    return this.#limit !== undefined
  }

  push({ time, linkType, bytes, length }: Packet): void {
    if (this.isFull) return
    const segment = decodeTcpSegment(linkType, bytes, length)
    if (segment === undefined) return
    const { source, target } = segment
    const key = source < target ? `${source} ${target}` : `${target} ${source}`
    const known = this.#connections.get(key)
    if (known !== undefined && !known.isFollowedBy(segment)) {
      known.push(segment, time)
      if (known.isOver) this.#finish(known)
      return
    }
    const client = clientOf(segment)
    // What only ends or acknowledges has nothing that could be missed.
    if (known === undefined && client === undefined && segment.length === 0) return
    if (known !== undefined) {
      if (client === undefined) return
      this.#remove(key, known)
    }
    const made = new Connection(client, time, this.#waiting, () => this.#mayRecord())
    this.#connections.set(key, made)
    if (client === undefined) this.#underWay += 1
    made.push(segment, time)
    for (const [oldest, connection] of this.#connections) {
      if (this.#connections.size <= MAX_CAPTURE_CONNECTIONS) break
      this.#remove(oldest, connection)
    }
  }

  /** No more comes. */
  end(): CapturedPackets {
    for (const [key, connection] of this.#connections) this.#remove(key, connection)
    const connections = this.#found
      .toSorted((a, b) => a.opened - b.opened)
      .map((connection, index) => ({ connection: index + 1, ...connection }))
    return {
      connections,
      ...(this.#limit && { limit: this.#limit }),
      leftOut: { withoutTls: this.#withoutTls, underWay: this.#underWay },
    }
  }

  #mayRecord(): boolean {
    if (this.#records >= this.#maxRecords) this.#limit ??= 'records'
    if (this.isFull) return false
    this.#records += 1
    return true
  }

  #remove(key: string, connection: Connection): void {
    this.#connections.delete(key)
    this.#finish(connection)
  }

  /** Once for each connection; it stays in the table, so that what comes late is known to be late. */
  #finish(connection: Connection): void {
    const found = connection.finish()
    if (found === undefined) return
    if (found === 'not TLS') this.#withoutTls += 1
    else if (this.#found.length < MAX_CAPTURE_CONNECTIONS) this.#found.push(found)
    else this.#limit ??= 'connections'
  }
}

/** Who is the client: who sends SYN, who is answered with SYN and ACK, or who sends a ClientHello. */
function clientOf({ source, target, syn, acknowledged, data }: TcpSegment): string | undefined {
  if (syn) return acknowledged === undefined ? source : target
  const [type, major, , , , message] = data
  const isHello = type === ContentType.Handshake && major === 3 && message === CLIENT_HELLO
  return isHello ? source : undefined
}

/** The type of that message (RFC 8446, section 4). */
const CLIENT_HELLO = 1

/** One connection, followed from its beginning; or, without a client, only known of. */
class Connection {
  readonly #client: string | undefined
  readonly #opened: number
  readonly #mayRecord: () => boolean
  readonly #records: CapturedRecord[] = []
  readonly #notTls: Direction[] = []
  readonly #lost: Direction[] = []
  readonly #streams: Readonly<Record<Direction, TcpStream>>
  #sequence: number | undefined
  #last = 0
  #reason: CloseReason | undefined
  #finished = false

  constructor(
    client: string | undefined,
    opened: number,
    waiting: WaitingBytes,
    mayRecord: () => boolean,
  ) {
    this.#client = client
    this.#opened = Math.max(opened, 0)
    this.#mayRecord = mayRecord
    this.#streams = { up: this.#follow('up', waiting), down: this.#follow('down', waiting) }
  }

  get isOver(): boolean {
    return this.#reason !== undefined
  }

  /** Whether the segment begins another connection between the same ports. */
  isFollowedBy(segment: TcpSegment): boolean {
    const { syn, acknowledged, sequence } = segment
    if (this.#client === undefined) return clientOf(segment) !== undefined
    return syn && acknowledged === undefined && sequence !== this.#sequence
  }

  push(segment: TcpSegment, time: number): void {
    const { source, sequence, acknowledged, syn, fin, reset, data, length } = segment
    if (this.#client === undefined || this.#finished) return
    const direction: Direction = source === this.#client ? 'up' : 'down'
    const { up, down } = this.#streams
    const own = this.#streams[direction]
    const first = sequence + (syn ? 1 : 0)
    if (syn) own.begin(first)
    if (direction === 'up') this.#sequence ??= (first - 1) >>> 0
    else if (syn && acknowledged !== undefined) this.#sequence ??= (acknowledged - 1) >>> 0
    // The other direction begins where the first acknowledgement says, should its SYN be missing.
    if (acknowledged !== undefined && !reset) (direction === 'up' ? down : up).begin(acknowledged)
    this.#last = this.#since(time)
    own.push(first, data, length, fin, time)
    if (up.isOver && down.isOver) this.#reason = 'end'
    else if (reset) this.#reason = 'reset'
  }

  /** What there is of it; `undefined` from the second time on, and for one that is not followed. */
  finish(): Omit<CapturedConnection, 'connection'> | 'not TLS' | undefined {
    if (this.#finished || this.#client === undefined) return undefined
    this.#finished = true
    const { up, down } = this.#streams
    up.flush()
    down.flush()
    if (up.isOver && down.isOver) this.#reason ??= 'end'
    if (this.#records.length === 0) return 'not TLS'
    // Each direction is in order; what had to wait in one of them was told of late.
    const records = this.#records.toSorted((a, b) => a.time - b.time)
    const time = Math.max(this.#last, records.at(-1)?.time ?? 0)
    return {
      opened: roundTime(this.#opened),
      records,
      notTls: this.#notTls,
      lost: this.#lost,
      ...(this.#reason !== undefined && {
        close: { time, reason: this.#reason, up: up.length, down: down.length },
      }),
    }
  }

  #follow(direction: Direction, waiting: WaitingBytes): TcpStream {
    const reader = new RecordReader()
    let latest = 0
    const note = (records: readonly TlsRecord[], time: number) => {
      latest = Math.max(latest, this.#since(time))
      for (const record of records) {
        if (this.#mayRecord()) this.#records.push({ direction, time: latest, ...record })
      }
    }
    /** Puts down, the first time, that reading ends here. */
    const watch = (read: () => TlsRecord[], list: Direction[], time: number) => {
      if (reader.lostAt !== undefined) return
      note(read(), time)
      if ((reader.lostAt as number | undefined) !== undefined) list.push(direction)
    }
    return new TcpStream(
      {
        push: (bytes, time) => watch(() => reader.push(bytes), this.#notTls, time),
        skip: (length, time) => watch(() => reader.skip(length), this.#lost, time),
      },
      waiting,
    )
  }

  #since(time: number): number {
    return roundTime(Math.max(time - this.#opened, 0))
  }
}
