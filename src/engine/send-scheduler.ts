// Whose turn it is to send: streams with data waiting, one Frame a turn, by priority (Mux.Pro, Priority; D41).
// Must never send what a stream has no credit for.
import type { Machine } from './machine.ts'

/** Priority of a stream that nobody gave one: between the first, 0, and the last, 255. */
export const DEFAULT_PRIORITY = 128

/**
 * How many Frames of streams that go first may leave while others wait, before one of those others has a
 * turn all the same: nobody starves, and who waits gets at least a seventeenth.
 */
export const STARVATION_GUARD = 16

/** A stream as the scheduler sees it. */
export interface Sender {
  readonly id: number
  /** 0 goes first, 255 last; never changes. */
  readonly priority: number
  /** Each write is a datagram, and a data frame of its own. */
  readonly messages: boolean
  /** Bytes that wait to be sent. */
  readonly pendingBytes: number
  /** Bytes of the first write that waits. */
  readonly firstPendingBytes: number
  /** Belongs to the scheduler: its place among those who wait, -1 for none. */
  place: number
  /** Takes at most `max` waiting bytes; {@link sent} must follow. */
  takePending(max: number): Uint8Array[]
  sent(): void
}

/**
 * Strict between levels, in rotation inside one, and a turn now and then for who would starve
 * ({@link STARVATION_GUARD}).
 */
export class SendScheduler<S extends Sender> {
  /** Levels that have streams waiting, the first to go in front; in each, streams in the order of their turns. */
  readonly #levels: Level<S>[] = []
  #size = 0
  /** Frames that have left since one of those who wait behind had a turn. */
  #passedOver = 0
  /** The level that had the last turn by the guard. */
  #guarded = -1

  get size(): number {
    return this.#size
  }

  /** The stream has data to send; nothing happens when it is waiting already. */
  add(sender: S): void {
    const { priority } = sender
    let index = 0
    let level = this.#levels[0]
    while (level !== undefined && level.priority < priority) {
      index += 1
      level = this.#levels[index]
    }
    if (level?.priority !== priority) {
      level = { priority, waiting: new Rotation() }
      this.#levels.splice(index, 0, level)
    }
    if (level.waiting.add(sender)) this.#size += 1
  }

  delete(sender: S): void {
    for (const { priority, waiting } of this.#levels) {
      if (priority === sender.priority && waiting.delete(sender)) this.#size -= 1
    }
  }

  clear(): void {
    for (const { waiting } of this.#levels) waiting.clear()
    this.#levels.length = 0
    this.#size = 0
  }

  /**
   * Gives each stream of the first level one Frame, as long as there is room, and goes on to the next level
   * when nothing of the first is left.
   *
   * @param room bytes that may be sent
   * @returns the room that is left
   */
  pump(machine: Machine, room: number, now: number): number {
    let left = room
    for (const level of [...this.#levels]) {
      // Who comes back, or in, during this round waits for the next: what an application writes then may
      // still join what is left.
      let turns = level.waiting.size
      while (left > 0 && turns > 0) {
        const sender = level.waiting.first()
        if (sender === undefined) break
        turns -= 1
        if (this.#passedOver >= STARVATION_GUARD) left -= this.#serveStarving(level, machine, now)
        left -= this.#serve(sender, machine, now)
      }
      if (level.waiting.size > 0) break
    }
    this.#forgetEmptyLevels()
    return left
  }

  #forgetEmptyLevels(): void {
    if (this.#levels.length > 1) {
      const left = this.#levels.filter(({ waiting }) => waiting.size > 0)
      this.#levels.splice(0, this.#levels.length, ...left)
    }
    // Nobody was passed over when nobody waits behind the first.
    if (this.#levels.length < 2) this.#passedOver = 0
  }

  /** One Frame for a level behind `first`, each of them in rotation; returns its bytes. */
  #serveStarving(first: Level<S>, machine: Machine, now: number): number {
    const behind = this.#levels.filter(({ priority }) => priority > first.priority)
    const next = Math.max(
      behind.findIndex(({ priority }) => priority > this.#guarded),
      0,
    )
    for (const level of [...behind.slice(next), ...behind.slice(0, next)]) {
      for (;;) {
        const sender = level.waiting.first()
        if (sender === undefined) break
        const bytes = this.#serve(sender, machine, now)
        if (bytes === 0) continue
        this.#passedOver = 0
        this.#guarded = level.priority
        return bytes
      }
    }
    return 0
  }

  /** One Frame of a stream that has had its turn; returns its bytes, 0 when it may send nothing. */
  #serve(sender: S, machine: Machine, now: number): number {
    this.delete(sender)
    const credit = machine.credit(sender.id)
    // While shaping is on, one application write is one Frame and so one Deliver (D29).
    const whole = sender.messages || machine.shaping
    const wanted = whole ? sender.firstPendingBytes : sender.pendingBytes
    const bytes = Math.min(credit, machine.maxPayload, wanted)
    // Without credit, or with too little for a datagram, the stream comes back with a `credit` event.
    if (bytes === 0 || (sender.messages && bytes < wanted)) return 0
    machine.sendData(sender.id, sender.takePending(bytes), bytes, now)
    this.#passedOver += 1
    // Only now: completing the write may bring the stream's end, which must come behind its data.
    sender.sent()
    if (sender.pendingBytes > 0) this.add(sender)
    return bytes
  }
}

/** Streams of one priority, in the order of their turns. */
interface Level<S extends Sender> {
  readonly priority: number
  readonly waiting: Rotation<S>
}

/** How many empty places in front are worth moving what is behind them. */
const WORTH_MOVING = 64

/** Who waits, first come, first served. (A Set would do, but for what codec/churning.ts tells: this one is used for each Frame.) */
class Rotation<S extends Sender> {
  readonly #places: (S | undefined)[] = []
  /** Those in front of it are empty. */
  #head = 0
  /** The place of the first entry. */
  #base = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @returns false for who waits already */
  add(sender: S): boolean {
    if (sender.place >= 0) return false
    sender.place = this.#base + this.#places.length
    this.#places.push(sender)
    this.#size += 1
    return true
  }

  /** @returns whether it waited */
  delete(sender: S): boolean {
    if (sender.place < 0) return false
    this.#places[sender.place - this.#base] = undefined
    sender.place = -1
    this.#size -= 1
    if (this.#size === 0) this.#empty()
    return true
  }

  first(): S | undefined {
    if (this.#size === 0) return undefined
    while (this.#places[this.#head] === undefined) this.#head += 1
    if (this.#head >= WORTH_MOVING && 2 * this.#head >= this.#places.length) {
      this.#places.splice(0, this.#head)
      this.#base += this.#head
      this.#head = 0
    }
    return this.#places[this.#head]
  }

  clear(): void {
    for (const sender of this.#places) if (sender !== undefined) sender.place = -1
    this.#empty()
  }

  #empty(): void {
    this.#places.length = 0
    this.#head = 0
    this.#base = 0
    this.#size = 0
  }
}
