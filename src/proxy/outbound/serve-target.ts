// A stream whose target is known: asks whether it may go there, connects, accepts, carries the data.
import { AnyTlsError } from '../../errors.ts'
import type { Address } from '../../codec/address.ts'
import { guarded } from '../../session/callbacks.ts'
import { Stream } from '../../session/stream.ts'
import type { MuxProServerOptions } from '../../session/muxpro.ts'
import { reportFailure } from '../failure.ts'
import type { DialOptions } from './outbound.ts'
import { dial, dialForRelay } from './outbound.ts'
import type { AllowAddress, AllowTarget } from './policy.ts'
import { requireAllowed } from './policy.ts'
import type { RelayOptions } from '../relay.ts'
import { relay } from '../relay.ts'
import type { ReadTargetOptions } from './target-preamble.ts'
import { trafficOf } from '../traffic.ts'
import type { Traffic } from '../traffic.ts'
import type { TunnelStream } from '../tunnel.ts'
import type { ServeUdpOptions, UdpStreamEvent } from '../udp/udp-serve.ts'

/** What happened on a stream, for a log. Names in targets come from the peer. */
export type ProxyStreamEvent =
  | {
      /** Data flows between the stream and `target`. */
      readonly type: 'open'
      /** As the client named it. */
      readonly target: Address
      /** Counts on; missing where the stream carries other streams (`mux.pro`). */
      readonly traffic?: Traffic
    }
  | {
      /** The stream was refused. */
      readonly type: 'refused'
      /** Missing when it was not even named. */
      readonly target: Address | undefined
      /** Why: what `dial`, `readTarget` or a policy threw. */
      readonly error: unknown
    }
  | {
      /** The stream is over. */
      readonly type: 'closed'
      /** As the client named it. */
      readonly target: Address
      /** All that was carried; missing where it was other streams (`mux.pro`). */
      readonly traffic?: Traffic
    }
  | UdpStreamEvent

/** Options of {@link serveProxyStream}. */
export interface ServeStreamOptions {
  /**
   * Whether a connection or datagrams, as the second argument says, may go to `target`. A name is given as it came, not
   * resolved. One that throws, rejects, or has not answered after 10 s means no. Default: all may.
   */
  readonly allowTarget?: AllowTarget
  /**
   * Whether an address may be dialled, which is the target or what its name has just been found to be: asked last of
   * all, so that no later answer of a resolver counts. Default: all may.
   */
  readonly allowAddress?: AllowAddress
  /** How long the target of a stream may take to arrive. */
  readonly preamble?: ReadTargetOptions
  /** How targets are resolved and connected to. */
  readonly dial?: Omit<DialOptions, 'signal'>
  /** How bytes are passed on. */
  readonly relay?: RelayOptions
  /** How long an association may be idle. */
  readonly udp?: ServeUdpOptions
  /** Limits of Mux.Pro main connections, and the first priority that a client may have (D41, D44). */
  readonly muxPro?: Omit<MuxProServerOptions, 'autoAccept' | 'clock'>
  /** Told what happens, in order. What it throws is an uncaught exception, and harms no stream. */
  readonly observe?: (event: ProxyStreamEvent) => void
}

/** Serves a stream over TCP to its end. */
export async function serveTarget(
  stream: TunnelStream,
  target: Address,
  options: ServeStreamOptions,
): Promise<void> {
  const connect = async (signal: AbortSignal) => {
    await requireAllowed(target, 'tcp', options)
    const connectTo = stream instanceof Stream ? dialForRelay : dial
    return connectTo(target, { ...options.dial, allowAddress: options.allowAddress, signal })
  }
  const socket = await acceptWith(stream, target, options, connect)
  if (socket === undefined) return
  const traffic = trafficOf(socket)
  guarded(() => options.observe?.({ type: 'open', target, traffic }))
  await relay(stream, socket, options.relay)
  guarded(() => options.observe?.({ type: 'closed', target, traffic }))
}

/**
 * Accepts the stream once `connect` has made what it leads to, or refuses it and tells the observer.
 *
 * @returns what `connect` made; `undefined` for a stream that was refused, or is gone
 */
export async function acceptWith<T>(
  stream: TunnelStream,
  target: Address,
  { observe }: ServeStreamOptions,
  connect: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  let made
  try {
    made = await whileOpen(stream, connect)
  } catch (error) {
    refuse(stream, error)
    guarded(() => observe?.({ type: 'refused', target, error }))
    return undefined
  }
  stream.accept()
  return made
}

/** Runs `task` with a signal that is aborted when the stream goes. */
async function whileOpen<T>(
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
