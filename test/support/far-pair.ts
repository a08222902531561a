// Two connected Duplexes with a long way between them: what is written leaves at once and arrives later, as much of
// it as there is. Time is a fake clock's, so that a test counts flights and not seconds.
import { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import type { FakeClock } from './fake-clock.ts'

export class FarEnd extends Duplex {
  readonly #way: FarWay
  readonly #arrived: (Buffer | null)[] = []
  #wanted = false
  #peer: FarEnd | undefined

  constructor(way: FarWay) {
    super({ allowHalfOpen: true, writableHighWaterMark: 65_536 })
    this.#way = way
  }

  join(peer: FarEnd): void {
    this.#peer = peer
  }

  /** Bytes that have arrived and were not asked for. */
  get waiting(): number {
    return this.#arrived.reduce((sum, chunk) => sum + (chunk?.length ?? 0), 0)
  }

  override _read(): void {
    this.#wanted = true
    this.#deliver()
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#send(Buffer.from(chunk))
    process.nextTick(callback)
  }

  override _final(callback: () => void): void {
    this.#send(null)
    callback()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    if (!this.writableEnded) this.#send(null)
    callback(error)
  }

  #send(chunk: Buffer | null): void {
    this.#way.moved += 1
    this.#way.clock.schedule(this.#way.delay, () => this.#peer?.arrive(chunk))
  }

  /** @internal */
  arrive(chunk: Buffer | null): void {
    this.#arrived.push(chunk)
    this.#deliver()
  }

  #deliver(): void {
    while (this.#wanted && !this.destroyed) {
      const chunk = this.#arrived.shift()
      if (chunk === undefined) return
      this.#way.moved += 1
      this.#wanted = this.push(chunk)
    }
  }
}

/** What lies between the two ends. */
export class FarWay {
  readonly clock: FakeClock
  /** How long bytes are under way, in milliseconds. */
  readonly delay: number
  /** How often anything was written or read. */
  moved = 0

  constructor(clock: FakeClock, delay: number) {
    this.clock = clock
    this.delay = delay
  }

  makeEnds(): [FarEnd, FarEnd] {
    const ends: [FarEnd, FarEnd] = [new FarEnd(this), new FarEnd(this)]
    ends[0].join(ends[1])
    ends[1].join(ends[0])
    return ends
  }

  /** Lets both ends do all that they can without hearing of each other. */
  async rest(): Promise<void> {
    for (let quiet = 0; quiet < 8;) {
      const { moved } = this
      await setImmediate()
      quiet = moved === this.moved ? quiet + 1 : 0
    }
  }

  /** Everything that is under way arrives; what it causes is done and leaves. */
  async flight(): Promise<void> {
    await this.rest()
    await this.clock.advance(this.delay)
    await this.rest()
  }

  /** How many flights pass until `over`, at most `most`. */
  async flightsUntil(over: () => boolean, most = 100): Promise<number> {
    await this.rest()
    let flights = 0
    while (!over() && flights < most) {
      await this.flight()
      flights += 1
    }
    return flights
  }
}
