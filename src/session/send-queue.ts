// Whose turn it is to send: streams with data waiting, one Frame a turn, in rotation.
// Must never hold data itself, or send what a stream has no credit for.
import type { Machine } from '../mux/machine.ts'
import type { Stream } from './stream.ts'

export class SendQueue {
  /** In the order of their turns. */
  readonly #ready = new Set<Stream>()

  get size(): number {
    return this.#ready.size
  }

  /** The stream has data to send; nothing happens when it is waiting already. */
  add(stream: Stream): void {
    this.#ready.add(stream)
  }

  delete(stream: Stream): void {
    this.#ready.delete(stream)
  }

  clear(): void {
    this.#ready.clear()
  }

  /**
   * Gives each stream that waits one Frame, as long as there is room.
   *
   * @param room bytes that may be sent
   * @returns the room that is left
   */
  pump(machine: Machine, room: number, now: number): number {
    // Who comes back, or in, during this round waits for the next: what an application writes then may
    // still join what is left.
    let turns = this.#ready.size
    for (const stream of this.#ready) {
      if (room <= 0 || turns === 0) break
      turns -= 1
      this.#ready.delete(stream)
      const bytes = Math.min(
        machine.credit(stream.id),
        machine.maxPayload,
        // While shaping is on, one application write is one Frame and so one Deliver (D29).
        machine.shaping ? stream.firstPendingBytes : stream.pendingBytes,
      )
      // Without credit the stream comes back with the machine's `credit` event.
      if (bytes === 0) continue
      machine.sendData(stream.id, stream.takePending(bytes), bytes, now)
      room -= bytes
      // Only now: completing the write may bring the stream's end, which must come behind its data.
      stream.sent()
      if (stream.pendingBytes > 0) this.#ready.add(stream)
    }
    return room
  }
}
