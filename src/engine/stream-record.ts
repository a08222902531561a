// What a machine remembers of one stream: which directions are open, credit, deadlines.
import type { Timed } from './deadlines.ts'
import { ReceiveWindow } from './receive-window.ts'

/** Credit of a stream that nothing limits, in bytes. */
export const UNLIMITED = Number.MAX_SAFE_INTEGER

export class StreamRecord implements Timed {
  readonly id: number
  /** This end opened it, and so hears answers on it. */
  readonly openedHere: boolean
  readonly opened: number
  /** The stream is accepted: the peer has said so, or sent data or an end; or this end has (D7). */
  answered = false
  /** The peer has sent some frame on the stream, so that the open timeout has done its work (D26). */
  heard = false
  /** Data has passed, in either direction. */
  used = false
  /** This end will send no more data. */
  sendEnded = false
  /** The peer will send no more data. */
  receiveEnded = false
  /** Bytes that may still be sent; below zero where the peer has narrowed its window meanwhile. */
  sendCredit: number
  /** Bytes that were sent. */
  sent = 0
  /** Each data frame is a datagram: credit for a part of one is of no use. */
  messages = false
  /** What the peer may send. */
  readonly window: ReceiveWindow
  lastActivity: number
  due = Infinity
  heapIndex = -1

  constructor(id: number, openedHere: boolean, sendCredit: number, window: number, now: number) {
    this.id = id
    this.openedHere = openedHere
    this.sendCredit = sendCredit
    this.window = new ReceiveWindow(window)
    this.opened = now
    this.lastActivity = now
  }

  /** Adds credit, or takes some back; the sum saturates. True when the stream may have waited for it. */
  grant(bytes: number): boolean {
    const had = this.sendCredit
    this.sendCredit = Math.min(UNLIMITED, had + bytes)
    return (had <= 0 && this.sendCredit > 0) || this.messages
  }

  /** Takes back what reaches beyond `limit`, in bytes from the first one. */
  hold(limit: number): void {
    this.sendCredit = Math.min(this.sendCredit, limit - this.sent)
  }
}
