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
  const linger = (): void => {
    const timer = setTimeout(() => socket.destroy(), LINGER)
    socket.once('close', () => clearTimeout(timer))
  }
  socket.resume()
  if (lastBytes !== undefined) socket.end(lastBytes)
  else if (!socket.writableEnded) socket.end()
  if (socket.writableFinished) {
    linger()
    return
  }
  const stop = limitStall(socket, () => socket.destroy())
  socket.once('finish', () => {
    stop()
    linger()
  })
}

/**
 * Calls `onStall` once the other end has taken nothing for 30 s of what is still to be written; nothing may be added to
 * that any more.
 *
 * @returns ends it; the socket's close does too
 */
export function limitStall(socket: Socket, onStall: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  let before: number | undefined
  const watch = (): void => {
    const left = bytesLeft(socket)
    if (left === before) {
      onStall()
      return
    }
    before = left
    timer = setTimeout(watch, STALL_TIMEOUT)
  }
  const stop = (): void => clearTimeout(timer)
  socket.once('close', stop)
  watch()
  return stop
}

/** A number that grows with every byte that leaves; `writableLength` changes once all of a write has. */
function bytesLeft(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: Partial<Handle> | null }
  return (handle?.bytesWritten ?? 0) - (handle?.writeQueueSize ?? 0)
}

interface Handle {
  /** Bytes that it was given to be sent. */
  readonly bytesWritten: number
  /** Those of them that wait. */
  readonly writeQueueSize: number
}
