// A stream whose target is known: asks whether it may go there, connects, accepts, carries the data.
// Must never throw or reject: a bad stream ends alone and its session lives on.
import { AnyTlsError } from '../../errors.ts'
import type { Address } from '../../codec/address.ts'
import { reportFailure } from '../failure.ts'
import { dial } from './outbound.ts'
import { relay } from '../relay.ts'
import type { ServeStreamOptions } from './serve-stream.ts'
import type { TunnelStream } from '../tunnel.ts'

/** Serves a stream over TCP to its end. */
export async function serveTarget(
  stream: TunnelStream,
  target: Address,
  options: ServeStreamOptions,
): Promise<void> {
  const { observe } = options
  let socket
  try {
    socket = await whileOpen(stream, async (signal) => {
      await requireAllowed(target, options)
      return dial(target, { ...options.dial, signal })
    })
  } catch (error) {
    refuse(stream, error)
    observe?.({ type: 'refused', target, error })
    return
  }
  stream.accept()
  observe?.({ type: 'open', target })
  await relay(stream, socket, options.relay)
  observe?.({ type: 'closed', target })
}

/** @throws AnyTlsError `ERR_TARGET_REJECTED`, or what the policy throws */
export async function requireAllowed(
  target: Address,
  { allowTarget }: ServeStreamOptions,
): Promise<void> {
  if ((await allowTarget?.(target)) === false) throw new AnyTlsError('ERR_TARGET_REJECTED')
}

/** Runs `task` with a signal that is aborted when the stream goes. */
export async function whileOpen<T>(
  stream: TunnelStream,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const gone = new AbortController()
  const onClose = () => gone.abort(new AnyTlsError('ERR_STREAM_RESET'))
  stream.once('close', onClose)
  if (stream.destroyed) onClose()
  try {
    return await task(gone.signal)
  } finally {
    stream.off('close', onClose)
  }
}

/** Ends the stream with the reason that `error` gives. */
export function refuse(stream: TunnelStream, error: unknown): void {
  if (stream.destroyed) return
  const { closeCode, reason } = reportFailure(error)
  stream.reset(closeCode, reason)
}
