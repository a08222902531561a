// Joins two Duplexes until both are over: bytes both ways with back-pressure, half-close, reset. A stream of a session
// and a socket are joined without pipe and Duplex in between (lean-relay.ts), anything else with pipe.
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { finished } from 'node:stream'
import { CloseCode } from '../engine/close-code.ts'
import { keepReads, readsAreLent, takeReads } from '../session/lent-reads.ts'
import { Stream } from '../session/stream.ts'
import { closeGently } from './close-gently.ts'
import { LeanRelay, limitSilence, resetSocket, timedOut } from './lean-relay.ts'
import type { TunnelStream } from './tunnel.ts'

/** Options of {@link relay}. */
export interface RelayOptions {
  /**
   * Once one direction has ended, how long the other may be silent, in ms. Default 3,600,000, the stream
   * timeout (D26): someone may be waiting for the answer to a question. It is watched on the sides
   * that are sockets (a session watches its streams itself); while both directions are open there is
   * no limit here, for TCP keep-alive and the session find out about a dead peer.
   */
  readonly halfOpenTimeout?: number
}

/** In milliseconds. */
export const DEFAULT_HALF_OPEN_TIMEOUT = 3_600_000

/**
 * Carries everything from `a` to `b` and from `b` to `a`. Both must allow half-open. What one side says
 * is passed on: its end as an end, its error or early destruction as a reset. Whoever listens for the `data` of either
 * must do so before, as a socket that nobody listens to has no such events from then on.
 *
 * @returns resolves when both sides are over, however they ended; never rejects
 */
export async function relay(a: Duplex, b: Duplex, options: RelayOptions = {}): Promise<void> {
  const { halfOpenTimeout = DEFAULT_HALF_OPEN_TIMEOUT } = options
  const [stream, socket] = a instanceof Stream ? [a, b] : [b, a]
  if (stream instanceof Stream && socket instanceof Socket && !socket.destroyed) {
    const lean = LeanRelay.join(stream, socket, halfOpenTimeout)
    if (lean !== undefined) return lean.over
    // The stream is over already: what the socket may say has nobody to go to.
    if (readsAreLent(socket)) takeReads(socket, () => {})
  } else if (socket instanceof Socket) {
    keepReads(socket)
  }
  const sides = [a, b]
  const onHalfOpen = () => {
    for (const side of sides) {
      side.off('end', onHalfOpen)
      if (side instanceof Socket) limitSilence(side, halfOpenTimeout)
    }
  }
  for (const side of sides) side.on('end', onHalfOpen)
  if (sides.some((side) => side.readableEnded)) onHalfOpen()
  const over = [linkFate(a, b), linkFate(b, a)]
  a.pipe(b)
  b.pipe(a)
  await Promise.all(over)
}

/** Resolves when `side` is over. `other` does not outlive it for long. */
function linkFate(side: Duplex, other: Duplex): Promise<void> {
  return new Promise((resolve) => {
    // Not cleaned up on purpose: finished() keeps an error listener, and errors may come after the end.
    finished(side, () => {
      if (!side.errored && side.readableEnded) end(other, side)
      else abort(other, timedOut(side) ? CloseCode.Timeout : CloseCode.RemoteDisconnect)
      resolve()
    })
  })
}

/**
 * Ends a side whose counterpart is over in order: usually it is on its way itself, but after an RST, which
 * ends both directions, it may still have something to say. What it was told before arrives (D6).
 */
function end(side: Duplex, over: Duplex): void {
  if (side.destroyed) return
  side.unpipe(over)
  if (side instanceof Socket) closeGently(side)
  else if (side.writableFinished) side.destroy()
  else side.once('finish', () => side.destroy())
}

function abort(side: Duplex, code: CloseCode): void {
  if (side.destroyed) return
  if (isTunnelStream(side)) {
    side.reset(code)
    return
  }
  if (side instanceof Socket) resetSocket(side)
  else side.destroy()
}

function isTunnelStream(side: Duplex): side is TunnelStream {
  return typeof (side as Partial<TunnelStream>).reset === 'function'
}
