// Whose turn it is to send: streams with data waiting, one Frame a turn, by priority (Mux.Pro, Priority; D41).
// Must never hold data itself, or send what a stream has no credit for.
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
      level = { priority, waiting: new Set() }
      this.#levels.splice(index, 0, level)
    }
    const before = level.waiting.size
    level.waiting.add(sender)
    this.#size += level.waiting.size - before
  }

  delete(sender: S): void {
    for (const { priority, waiting } of this.#levels) {
      if (priority === sender.priority && waiting.delete(sender)) this.#size -= 1
    }
  }

  clear(): void {
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
      for (const sender of level.waiting) {
        if (left <= 0 || turns === 0) break
        turns -= 1
        if (this.#passedOver >= STARVATION_GUARD) left -= this.#serveStarving(level, machine, now)
        left -= this.#serve(sender, machine, now)
      }
      if (left <= 0 || level.waiting.size > 0) break
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
      for (const sender of level.waiting) {
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
interface Level<S> {
  readonly priority: number
  readonly waiting: Set<S>
}
