// Joins two TCP sockets until both are over: bytes, ends and resets of one become those of the other, with
// back-pressure.
// Must never change, add or leave out a byte.

import type { Socket } from 'node:net'
import type { CloseReason } from './capture-event.ts'
import { drained } from './capture-file.ts'
import type { Tap } from './recorder.ts'

/** Which bytes each tap is shown: what comes from the client goes up. */
interface Taps {
  readonly up: Tap
  readonly down: Tap
}

/**
 * Carries everything from one to the other. Both must allow half-open; `upstream` may still be connecting.
 *
 * @returns resolves once both are closed; never rejects
 */
export async function joinSockets(
  client: Socket,
  upstream: Socket,
  taps: Taps,
): Promise<CloseReason> {
  let reason: CloseReason = 'end'
  const settle = (found: CloseReason) => {
    if (reason === 'end') reason = found
  }
  let connected = false
  upstream.once('connect', () => (connected = true))
  upstream.once('error', () => settle(connected ? 'reset' : 'refused'))
  client.once('error', () => settle('reset'))
  const over = [bindLifetime(client, upstream), bindLifetime(upstream, client)]
  carry(client, upstream, taps.up)
  carry(upstream, client, taps.down)
  const orderly = await Promise.all(over)
  if (!orderly.every(Boolean)) settle('stopped')
  return reason
}

function carry(from: Socket, to: Socket, tap: Tap): void {
  from.on('data', (bytes: Buffer) => {
    const held = tap(bytes)
    const flowing = to.write(bytes)
    if (flowing && held === undefined) return
    from.pause()
    void Promise.all([held, flowing ? undefined : drained(to)]).then(() => from.resume())
  })
  from.once('end', () => to.end())
}

/** Resolves when `socket` is over: with true when it ended in order. `other` does not outlive it otherwise. */
function bindLifetime(socket: Socket, other: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    // What went wrong shows when it closes; errors may come after that, too.
    socket.on('error', () => {})
    socket.once('close', () => {
      const orderly = socket.readableEnded && socket.writableFinished
      if (!orderly) reset(other)
      resolve(orderly)
    })
  })
}

/** What has not been connected cannot be reset. */
function reset(socket: Socket): void {
  if (socket.destroyed) return
  if (socket.connecting) socket.destroy()
  else socket.resetAndDestroy()
}
