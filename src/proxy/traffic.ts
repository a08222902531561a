// What a stream has carried so far, for whoever counts it.
import type { Socket } from 'node:net'

/** Bytes of payload so far, while the stream runs and after. Neither ever gets less. */
export interface Traffic {
  /** Given to the target: what it has got, and what is on its way there. */
  readonly up: number
  /** Got from the target. */
  readonly down: number
}

export function trafficOf(socket: Socket): Traffic {
  let up = 0
  return {
    get up() {
      // What had not left when the socket was destroyed is not in its sum any more; it is absent before it connects.
      const sums: { readonly bytesWritten?: number } = socket
      return (up = Math.max(up, sums.bytesWritten ?? 0))
    },
    get down() {
      return socket.bytesRead
    },
  }
}
