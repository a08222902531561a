// The state of one connection as the value of a wire works on it: moves by a state table, streams, the ways out.
// Must never move to a state that its table does not name.
import { AnyTlsError, violation } from '../errors.ts'
import type { RandomInt } from '../shaping/shaper.ts'
import { Channel } from './channel.ts'
import { CloseCode } from './close-code.ts'
import { Liveness } from './liveness.ts'
import type { Handover, StreamRequest } from './machine.ts'
import { ILLEGAL, statesOf } from './state-table.ts'
import type { CommonInput, Table } from './state-table.ts'
import type { StreamRecord } from './stream-record.ts'
import { Streams } from './streams.ts'
import type { StreamFrames, StreamRules } from './streams.ts'
import type { LivenessTimeouts, StreamTimeouts } from './timeouts.ts'

const NEGOTIATED = ['open', 'going-away', 'draining']
const DRAINING = ['going-away', 'draining', 'draining-early']

/** What a connection is made of. */
export interface ConnectionSetup<Input extends string> {
  /** A connection begins in the first state of it. */
  readonly table: Table<string, Input | CommonInput>
  readonly timeouts: LivenessTimeouts & StreamTimeouts
  /** Draws how long the next silence may last before a ping is due. Absent: always `timeouts.keepalive`. */
  readonly randomInt?: RandomInt
  readonly rules: StreamRules
  readonly frames: StreamFrames
  /** Control frames that a scheme leaves unshaped below its `stop` are padded all the same. */
  readonly liftControl: boolean
}

export class Connection<Input extends string> {
  readonly liveness: Liveness
  readonly channel: Channel
  readonly streams: Streams
  /** When it began, in milliseconds. */
  readonly started: number
  /** Streams that the peer has asked for, those that were refused among them. */
  openings = 0

  readonly #table: Table<string, Input | CommonInput>
  readonly #first: string
  #state: string
  #drainingTold = false

  constructor(setup: ConnectionSetup<Input>, now: number) {
    this.#table = setup.table
    const [first = ''] = statesOf(setup.table)
    this.#first = first
    this.#state = first
    this.started = now
    this.liveness = new Liveness(setup.timeouts, setup.randomInt, now)
    this.channel = new Channel(this.liveness, setup.liftControl, now)
    this.streams = new Streams(this.channel, this.liveness, setup)
  }

  get now(): number {
    return this.channel.now
  }

  get state(): string {
    return this.#state
  }

  /** It is in the first state of its table. */
  get atFirst(): boolean {
    return this.#state === this.#first
  }

  /** Both ends have agreed on how they speak, and the connection still stands. */
  get negotiated(): boolean {
    return NEGOTIATED.includes(this.#state)
  }

  /** No new streams of this end; those that stand run to their end. */
  get draining(): boolean {
    return DRAINING.includes(this.#state)
  }

  /** The connection is closed or handed over. */
  get over(): boolean {
    return this.#state === 'closed' || this.#state === 'handed-over'
  }

  /** Moves by the table; an input that is illegal in this state is the peer's violation. */
  move(input: Input | CommonInput): void {
    if (!this.tryMove(input)) {
      throw violation(`${input} while ${this.#state}`)
    }
  }

  /** Moves by the table, or returns false where it has no such move. */
  tryMove(input: Input | CommonInput): boolean {
    const next = this.#table[this.#state]?.[input] ?? ILLEGAL
    if (next === ILLEGAL) return false
    this.#state = next
    return true
  }

  /** The peer opens a stream: it is taken, or refused. `undefined` where it is refused. */
  admit(
    id: number,
    maxStreams: number,
    request: StreamRequest | undefined,
  ): StreamRecord | undefined {
    this.openings += 1
    const { streams } = this
    if (this.#state === 'draining') {
      streams.refuse(id, CloseCode.Rejected, 'the server is stopping')
      return undefined
    }
    if (streams.size >= maxStreams) {
      streams.refuse(id, CloseCode.ResourceExhausted, 'too many streams')
      return undefined
    }
    const record = streams.add(id, false)
    this.channel.streamOpened()
    if (request === undefined) {
      this.channel.emit({ type: 'open', stream: id })
    } else {
      record.messages = request.network === 'udp'
      this.channel.emit({ type: 'open', stream: id, request })
    }
    return record
  }

  /** Takes the answer to a ping that is outstanding and tells of it; false when there is none. */
  takePong(): boolean {
    const roundTrip = this.liveness.takePong(this.now)
    if (roundTrip === undefined) return false
    this.streams.roundTrip = roundTrip
    this.streams.wantsRoundTrip = false
    this.channel.emit({ type: 'pong', roundTrip })
    return true
  }

  /** The connection is over. To be called behind the move to that state. */
  closed(error: AnyTlsError | undefined): void {
    this.streams.clear()
    this.channel.emit({ type: 'closed', error })
  }

  /** Another owner has the connection. To be called behind the move to that state; `unread` is copied. */
  handOver({ unread, ...handover }: Handover): void {
    this.streams.clear()
    // The slice of a Buffer would be a view.
    const kept = unread.map((part) => new Uint8Array(part))
    this.channel.emit({ type: 'handover', handover: { ...handover, unread: kept } })
  }

  /** The connection takes no new streams from now on: tells the application, once. */
  tellDraining(): void {
    if (this.#drainingTold) return
    this.#drainingTold = true
    this.channel.emit({ type: 'draining' })
  }

  /** Why no stream can be opened now. */
  openError(): AnyTlsError {
    if (this.over) return new AnyTlsError('ERR_SESSION_CLOSED')
    if (this.draining) return new AnyTlsError('ERR_SESSION_DRAINING')
    return new AnyTlsError('ERR_STREAM_LIMIT')
  }
}
