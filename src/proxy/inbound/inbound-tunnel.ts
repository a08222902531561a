// What the protocols of the local port share: opening the tunnel for a program, telling an observer.
// Must never know SOCKS or HTTP.
import type { Socket } from 'node:net'
import { AnyTlsError, PeerCloseError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import { orAborted } from '../../session/callbacks.ts'
import type { Address } from '../../codec/address.ts'
import { formatHostPort } from '../../codec/host-port.ts'
import { unmappedHost } from '../../codec/ip.ts'
import type { CheckCredentials } from './credentials.ts'
import type { OpenTunnel, TunnelStream } from '../tunnel.ts'
import type { UdpCounts } from '../udp/udp-socket.ts'

/** How a program asked. */
export type InboundProtocol = 'socks4' | 'socks5' | 'socks5-udp' | 'http-connect' | 'http'

/** Events of the local port, for a log. `source` is `HOST:PORT` of the program. */
export interface InboundEvents {
  /** A tunnel stands: the server has accepted it. With `socks5-udp` it carries datagrams, and `target` is where the first one goes. */
  tunnel: [
    {
      /** The program's address, `HOST:PORT`. */
      source: string
      /** Where it wants to go. */
      target: Address
      /** What it speaks. */
      protocol: InboundProtocol
    },
  ]
  /** No tunnel could be had. The program was told so, or reset if it had been told already that it may speak. */
  refused: [
    {
      /** The program's address, `HOST:PORT`. */
      source: string
      /** Where it wants to go. */
      target: Address
      /** What it speaks. */
      protocol: InboundProtocol
      /** What `openTunnel` threw, or the tunnel ended with. */
      error: unknown
    },
  ]
  /** The tunnel stood, but the target did not answer as it must. `reason` is text of ours. */
  failed: [
    {
      /** The program's address, `HOST:PORT`. */
      source: string
      /** Where it wants to go. */
      target: Address
      /** What it speaks. */
      protocol: InboundProtocol
      /** One line. */
      reason: string
    },
  ]
  /** The program did not say what is expected of it, or not in time. `reason` is text of ours. */
  invalid: [
    {
      /** The program's address, `HOST:PORT`. */
      source: string
      /** One line. */
      reason: string
    },
  ]
  /** An association for datagrams stands; they are to be sent to `address`, a `HOST:PORT`. */
  association: [
    {
      /** The program's address, `HOST:PORT`. */
      source: string
      /** Where datagrams are to be sent. */
      address: string
    },
  ]
  /** It is over, with what became of its datagrams; `error` where no socket could be had for it. */
  associationOver: [
    {
      /** The program's address, `HOST:PORT`. */
      source: string
      /** Datagrams, by what became of them. */
      counts: Readonly<UdpCounts>
      /** Why there was no socket, where there was none. */
      error: Error | undefined
    },
  ]
}

/** What the protocols are given. */
export interface InboundContext {
  readonly openTunnel: OpenTunnel
  /** Missing when everybody may use the port. */
  readonly checkCredentials: CheckCredentials | undefined
  emit<E extends keyof InboundEvents>(event: E, ...args: InboundEvents[E]): void
}

/**
 * Opens a tunnel for the program at `source` and tells the observer, also of a refusal that comes when the tunnel has
 * been given away. A tunnel that comes too late, when `gone` is aborted already, is reset.
 *
 * @param opening the tunnel, where it does not simply go to the target
 * @throws what `opening` rejects with; when aborted, the signal's reason
 */
export async function openForProgram(
  context: InboundContext,
  request: { source: string; target: Address; protocol: InboundProtocol },
  gone: AbortSignal,
  opening = context.openTunnel(request.target, gone),
): Promise<TunnelStream> {
  try {
    const stream = await orAborted(opening, gone)
    stream.accepted().then(
      () => context.emit('tunnel', request),
      (error: unknown) => {
        if (!isOwnReset(error)) context.emit('refused', { ...request, error })
      },
    )
    return stream
  } catch (error) {
    if (gone.aborted) opening.then(resetUnwanted, () => {})
    else context.emit('refused', { ...request, error })
    throw error
  }
}

/** The program has left before the server had answered. */
function isOwnReset(error: unknown): boolean {
  if (!(error instanceof AnyTlsError) || error instanceof PeerCloseError) return false
  return error.code === 'ERR_STREAM_RESET'
}

/** Why there was no tunnel for what was sent on `stream`, which is over; `undefined` where the server had accepted it. */
export async function refusalOf(stream: TunnelStream): Promise<unknown> {
  if (stream.errored === null) return undefined
  return stream.accepted().then(
    () => undefined,
    (error: unknown) => error,
  )
}

function resetUnwanted(stream: TunnelStream): void {
  if (!stream.destroyed) stream.reset(CloseCode.RemoteDisconnect)
}

/** `HOST:PORT` of the program at the other end of `socket`. To be asked while it is connected. */
export function sourceOf({ remoteAddress, remotePort }: Socket): string {
  if (remoteAddress === undefined || remotePort === undefined) return 'local'
  return formatHostPort({ host: unmappedHost(remoteAddress), port: remotePort })
}

/** Aborts `signal` when the program leaves while it waits for its tunnel, until `release` is called. */
export interface Departure {
  readonly signal: AbortSignal
  release(): void
}

/**
 * Watches a socket that nobody reads from. A program that only ended its direction has left too, unless it
 * sent data before: then it is a half-close, and its data waits in the buffer. (A net.Socket reads on by itself
 * until its buffer is full, so it notices.)
 */
export function watchDeparture(socket: Socket): Departure {
  const gone = new AbortController()
  const onGone = () => {
    gone.abort()
    socket.destroy()
  }
  socket.on('end', onGone)
  socket.on('close', onGone)
  if (socket.destroyed) onGone()
  return {
    signal: gone.signal,
    release() {
      socket.off('end', onGone)
      socket.off('close', onGone)
    },
  }
}
