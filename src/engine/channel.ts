// The two ways out of a machine, and the time of the call that is under way: events to its session, frames to
// its peer.
import { AnyTlsError } from '../errors.ts'
import type { PaddingFormat, RandomInt, Shaper } from '../shaping/shaper.ts'
import type { Scheme } from '../shaping/scheme.ts'
import type { Liveness } from './liveness.ts'
import type { MachineEvent, Write } from './machine.ts'
import { Output } from './output.ts'

// Never the list itself: that one goes on to grow.
const NO_EVENTS: readonly MachineEvent[] = Object.freeze([])

/** How a server shapes what it sends. */
interface Downlink {
  readonly downlinkScheme: Scheme | undefined
  readonly randomInt: RandomInt
}

export class Channel {
  /** Milliseconds of the session's clock. */
  now: number
  readonly #liveness: Liveness
  readonly #liftControl: boolean
  readonly #output = new Output()
  #events: MachineEvent[] = []

  /** @param liftControl whether control frames that a scheme leaves unshaped below its `stop` are padded all the same */
  constructor(liveness: Liveness, liftControl: boolean, now: number) {
    this.#liveness = liveness
    this.#liftControl = liftControl
    this.now = now
  }

  emit(event: MachineEvent): void {
    this.#events.push(event)
  }

  /** The peer has sent a scheme. */
  learn(read: () => Scheme): void {
    try {
      this.emit({ type: 'scheme', scheme: read() })
    } catch (error) {
      // D23: refused with a logged reason; the connection and the old scheme stay.
      if (!(error instanceof AnyTlsError)) throw error
      this.emit({ type: 'scheme-refused', error })
    }
  }

  /** Writes a frame that carries no stream data. */
  send(frame: Uint8Array): void {
    this.deliver([frame], this.#liftControl)
  }

  /** Writes one Frame, or several that are one Deliver, in parts. */
  deliver(parts: readonly Uint8Array[], lift = false): void {
    this.#liveness.sent(this.now)
    this.#output.deliver(parts, lift)
  }

  /** Whether the next Deliver will be shaped. */
  get shaping(): boolean {
    return this.#output.shaping
  }

  /** Shapes from the next Deliver on, which is Deliver 0. */
  startShaping(scheme: Scheme, randomInt: RandomInt, padding: PaddingFormat): Shaper {
    return this.#output.startShaping(scheme, randomInt, padding)
  }

  /** {@link startShaping} for a server, which may have no scheme for what it sends. */
  shapeDownlink({ downlinkScheme, randomInt }: Downlink, padding: PaddingFormat): void {
    if (downlinkScheme !== undefined) this.startShaping(downlinkScheme, randomInt, padding)
  }

  /** To be called before the Deliver that opens a stream: a scheme may begin again with it. */
  streamOpened(): void {
    this.#output.streamOpened()
  }

  takeEvents(): readonly MachineEvent[] {
    if (this.#events.length === 0) return NO_EVENTS
    const events = this.#events
    this.#events = []
    return events
  }

  takeWrites(): readonly Write[] {
    return this.#output.take()
  }
}
