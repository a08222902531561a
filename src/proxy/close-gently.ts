// Ending a TCP connection so that what was written last arrives.
// Must never keep a socket open without a limit.
import type { Socket } from 'node:net'

// How long the other end may go on sending once everything is written, in ms.
const LINGER = 1_000

/**
 * Sends `lastBytes` and an end, then closes: when the other end closes too, or after a second. What it
 * still sends is read and dropped, for a close with unread data makes the kernel send a reset, which
 * takes away what the other end has not read yet.
 */
export function closeGently(socket: Socket, lastBytes: Uint8Array | string = ''): void {
  const linger = () => {
    if (socket.destroyed) return
    const timer = setTimeout(() => socket.destroy(), LINGER)
    socket.once('close', () => clearTimeout(timer))
  }
  socket.resume()
  if (!socket.writableEnded) socket.end(lastBytes)
  if (socket.writableFinished) linger()
  else socket.once('finish', linger)
}
