// Ending a TCP connection so that what was written last arrives.
// Must never keep a socket open without a limit.
import type { Socket } from 'node:net'

// How long the other end may go on sending once everything is written, in ms.
const LINGER = 1_000

/** How long the other end may take none of what is still to be written, in ms. Then the socket is destroyed. */
export const STALL_TIMEOUT = 30_000

/**
 * Sends `lastBytes` and an end, then closes: when the other end closes too, or after a second. What it
 * still sends is read and dropped, for a close with unread data makes the kernel send a reset, which
 * takes away what the other end has not read yet. An other end that reads nothing for 30 s loses the rest.
 */
export function closeGently(socket: Socket, lastBytes?: Uint8Array | string): void {
  if (socket.destroyed) return
  let timer: NodeJS.Timeout | undefined
  const limit = (delay: number, onTime: () => void): void => {
    clearTimeout(timer)
    timer = setTimeout(onTime, delay)
  }
  let waiting = Infinity
  const watch = (): void => {
    if (socket.writableLength >= waiting) {
      socket.destroy()
      return
    }
    waiting = socket.writableLength
    limit(STALL_TIMEOUT, watch)
  }
  const linger = (): void => limit(LINGER, () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
  socket.resume()
  if (lastBytes !== undefined) socket.end(lastBytes)
  else if (!socket.writableEnded) socket.end()
  if (socket.writableFinished) {
    linger()
    return
  }
  watch()
  socket.once('finish', linger)
}
