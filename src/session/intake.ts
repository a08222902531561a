// What a session receives: the bytes of its Duplex, read on only as fast as streams are read, a pace allows, and our
// own answers leave (D46, D47).
// Must never deliver bytes that somebody else may use again, save in the turn that brings them.
import type { Duplex } from 'node:stream'
import type { Machine } from '../engine/machine.ts'
import { isSocket } from './carrier.ts'
import type { Clock, Timer } from './clock.ts'
import { dropReads, keepReads, readsAreLent, takeReads } from './lent-reads.ts'
import type { Pace } from './pace.ts'

/** Bytes under way to the socket at which reading stops, so that a peer cannot make us answer without end. */
const OUTPUT_LIMIT = 2 * 1_048_576

/** Longest time without reading for a pace, in milliseconds: less than peers wait for an answer to a ping. */
const MAX_PACED = 4_000

/** Whose bytes they are. */
export interface IntakeHost {
  receive(bytes: Uint8Array): void
  /** What the last bytes brought beyond the bound of a turn is due (D47). */
  goOn(): void
  /** Reading may go on now. */
  resumed(): void
}

export class Intake {
  /** Whether bytes are valid until `receive` returns, and no longer. */
  readonly lent: boolean
  /** How fast to read. */
  pace: Pace | undefined
  readonly #duplex: Duplex
  readonly #isSocket: boolean
  readonly #clock: Clock
  readonly #host: IntakeHost
  #received = 0
  #reading = true
  /** Reading is stopped because of streams that are not read, or of the pace. */
  #held = false
  #paced: Timer | undefined
  #continuation: NodeJS.Immediate | undefined

  constructor(duplex: Duplex, clock: Clock, host: IntakeHost) {
    this.#duplex = duplex
    this.#isSocket = isSocket(duplex)
    this.#clock = clock
    this.#host = host
    this.lent = readsAreLent(duplex)
  }

  /** Bytes that have come. */
  get received(): number {
    return this.#received
  }

  /** Whether the Duplex is read from. */
  get reading(): boolean {
    return this.#reading
  }

  start(): void {
    takeReads(this.#duplex, this.#onData)
  }

  /** `bytes` were handled: the next wait for the pace. */
  took(bytes: number, now: number): void {
    if (this.pace === undefined) return
    const wait = Math.min(this.pace.take(bytes, now), MAX_PACED)
    if (wait === 0 || this.#paced !== undefined) return
    this.#paced = this.#clock.schedule(wait, () => {
      this.#paced = undefined
      this.#host.resumed()
    })
  }

  /**
   * Reads on, or stops.
   *
   * @param stalled whether streams are too far behind
   * @param backlog bytes under way to the socket
   */
  update(machine: Machine, stalled: boolean, backlog: number, now: number): void {
    const held = stalled || this.#paced !== undefined
    if (held !== this.#held) {
      this.#held = held
      // Output that does not move excuses nobody: that is silence as well.
      machine.setReading(!held, now)
    }
    const { hasMore } = machine
    if (hasMore) this.#continuation ??= setImmediate(this.#onContinuation)
    const reading = !held && !hasMore && backlog < OUTPUT_LIMIT
    if (reading === this.#reading) return
    this.#reading = reading
    if (reading) this.#duplex.resume()
    else this.#duplex.pause()
  }

  /** What still comes is of no interest, but read it is, for the end of the peer to be seen. */
  drain(): void {
    this.stop()
    this.#duplex.resume()
  }

  /** Somebody else reads what comes after the last bytes. */
  handOver(): void {
    this.stop()
    keepReads(this.#duplex)
    this.#duplex.pause()
  }

  /** Takes nothing any more. */
  stop(): void {
    dropReads(this.#duplex, this.#onData)
    this.#paced?.cancel()
    clearImmediate(this.#continuation)
    this.#continuation = undefined
  }

  readonly #onData = (chunk: unknown): void => {
    const bytes = this.#bytesOf(chunk)
    if (bytes === undefined) {
      this.#duplex.destroy(new TypeError('what carries a session must deliver bytes'))
      return
    }
    this.#received += bytes.length
    this.#host.receive(bytes)
  }

  readonly #onContinuation = (): void => {
    this.#continuation = undefined
    this.#host.goOn()
  }

  /** What a socket gives is nobody else's, or lent. Whatever another Duplex delivers may be used again, so it is copied. */
  #bytesOf(chunk: unknown): Uint8Array | undefined {
    if (this.lent) return chunk as Uint8Array
    if (this.#isSocket && Buffer.isBuffer(chunk)) return chunk
    if (typeof chunk === 'string') {
      return Buffer.from(chunk, this.#duplex.readableEncoding ?? 'utf8')
    }
    return chunk instanceof Uint8Array ? Buffer.from(chunk) : undefined
  }
}
