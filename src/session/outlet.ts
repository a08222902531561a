// What a session sends: lanes take turns, the machine's Writes go to the socket, and each lane hears when its last
// bytes have left (D45).
// Must never hold more for the socket than a few turns' worth: what waits, waits in the streams.
import type { Duplex } from 'node:stream'
import type { AnyTlsError } from '../errors.ts'
import type { Machine } from '../engine/machine.ts'
import { SendScheduler } from '../engine/send-scheduler.ts'
import { guarded } from './callbacks.ts'
import type { Clock, Timer } from './clock.ts'
import { WIDE_JOIN, giveJoinBuffer } from './join-buffers.ts'
import type { Lane } from './lane.ts'
import type { Pace } from './pace.ts'
import { RecordWriter } from './record-writer.ts'

/** Bytes under way to the socket at which streams have to wait. */
const OUTPUT_HIGH_WATER = 262_144

/**
 * How many bytes must have been under way, and for how many milliseconds none have left, for some leaving to say that the
 * peer takes something: the kernel had no room. (No more bytes than a relay has under way before it reads no more.) What it takes at once it takes on a dead path as well, and each retry of an
 * application would put the end of the session off.
 */
const FULL = { bytes: 65_520, wait: 100 } as const

/** Whose bytes they are. */
export interface OutletHost {
  /** Bytes have left, or never will. */
  progressed(peerTakes: boolean): void
  /** The pace allows more. */
  resumed(): void
}

export class Outlet {
  /** How fast to send what is on streams. */
  pace: Pace | undefined
  readonly #clock: Clock
  readonly #host: OutletHost
  readonly #writer: RecordWriter
  readonly #ready = new SendScheduler<Lane>()
  /** Lanes whose last bytes are on their way to the writer in this turn. */
  #drained: Lane[] = []
  /** Lanes whose last bytes are with the writer, and where they end in its output. */
  readonly #leaving: { readonly lane: Lane; readonly at: number }[] = []
  /** When bytes last left, or the first ones of those under way came. */
  #since = 0
  /** Bytes that had left by then. */
  #left = 0
  #paced: Timer | undefined
  /** What lanes have given to be sent is lent until it has been written. */
  #lent = false
  /** Buffers of it that serve others then. */
  readonly #spent: Buffer[] = []

  constructor(duplex: Duplex, clock: Clock, host: OutletHost) {
    this.#clock = clock
    this.#host = host
    this.#writer = new RecordWriter(duplex, this.#onLeft)
  }

  /** Bytes under way to the socket. */
  get backlog(): number {
    return this.#writer.backlog
  }

  /** Bytes that were given to be sent. */
  get accepted(): number {
    return this.#writer.accepted
  }

  /** Whether a lane has something to send. */
  get waiting(): boolean {
    return this.#ready.size > 0
  }

  add(lane: Lane): void {
    this.#ready.add(lane)
  }

  delete(lane: Lane): void {
    this.#ready.delete(lane)
  }

  /** The last bytes of the lane leave in this turn. */
  drained(lane: Lane): void {
    this.#drained.push(lane)
  }

  /** Asks for wide writes. @returns whether it has them */
  widen(): boolean {
    return this.#writer.widen()
  }

  /** What is given to be sent is valid until the next {@link write} returns; then `buffers` serve others. */
  lends(buffers: readonly Buffer[]): void {
    this.#lent = true
    this.#spent.push(...buffers)
  }

  /**
   * Gives the machine what lanes have to send, as much as there is room and a pace for.
   *
   * @param isShared whether there are other lanes
   */
  pump(machine: Machine, now: number, isShared: boolean): void {
    if (this.#ready.size === 0 || this.#paced !== undefined) return
    const { pace } = this
    // A wide read goes into one write.
    const isWide = this.#writer.isWide && !isShared
    const most = (isWide ? WIDE_JOIN : OUTPUT_HIGH_WATER) - this.#writer.backlog
    const granted = pace === undefined ? most : Math.min(most, pace.quantum)
    let room = granted
    while (room > 0 && this.#ready.size > 0) {
      room = this.#ready.pump(machine, room, now)
    }
    if (room < granted) this.#keepPace(granted - room, now)
  }

  /**
   * Takes over what the machine has to send.
   *
   * @param gathers whether more may follow in this turn of the loop
   */
  write(machine: Machine, gathers = false): void {
    const writes = machine.takeWrites()
    const drained = this.#drained
    if (drained.length > 0) {
      this.#drained = []
      let at = this.#writer.accepted
      for (const { bytes } of writes) at += bytes
      for (const lane of drained) this.#leaving.push({ lane, at })
    }
    const lent = this.#lent
    this.#lent = false
    if (writes.length > 0) {
      if (this.#writer.backlog === 0) this.#since = this.#clock.now()
      this.#writer.write(writes, lent, gathers)
    }
    for (const buffer of this.#spent.splice(0)) giveJoinBuffer(buffer)
    // What the sink took at once, or nothing at all, has left already.
    if (drained.length > 0) this.#tellLeft()
  }

  /** Ends the socket once everything has left. */
  end(): void {
    this.#writer.end()
  }

  /** Somebody else writes from now on. */
  handOver(): void {
    this.#writer.abandon()
    this.#writer.narrow()
  }

  /** No lane has anything to send any more. */
  clear(): void {
    this.#ready.clear()
    this.#paced?.cancel()
  }

  /** What has not left never will. */
  lose(error: AnyTlsError): void {
    this.#writer.narrow()
    for (const { lane } of this.#leaving.splice(0)) guarded(() => lane.sink?.destroy(error))
  }

  #keepPace(bytes: number, now: number): void {
    const wait = this.pace?.take(bytes, now) ?? 0
    if (wait === 0) return
    this.#paced = this.#clock.schedule(wait, () => {
      this.#paced = undefined
      this.#host.resumed()
    })
  }

  readonly #onLeft = (): void => {
    const now = this.#clock.now()
    const { left, backlog } = this.#writer
    const bytes = left - this.#left
    const peerTakes = bytes > 0 && bytes + backlog >= FULL.bytes && now - this.#since >= FULL.wait
    this.#since = now
    this.#left = left
    this.#tellLeft()
    this.#host.progressed(peerTakes)
  }

  #tellLeft(): void {
    const { left } = this.#writer
    for (;;) {
      const first = this.#leaving[0]
      if (first === undefined || first.at > left) return
      this.#leaving.shift()
      guarded(() => first.lane.sink?.left())
    }
  }
}
