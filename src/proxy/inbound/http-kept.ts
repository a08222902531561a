// The connection to an origin that a program's own connection keeps, because an authentication rides on it.
// Must never be used for another program: NTLM and Negotiate vouch for whoever comes over the connection.
import type { IncomingMessage } from 'node:http'
import type { TunnelStream } from '../tunnel.ts'

/** How long a connection waits for the next request, in ms, on either side. */
export const KEPT_IDLE = 75_000

/** Whether what the request says is about its connection, not about the request (RFC 4559, MS-NTHT). */
export function authenticatesConnection({ headers }: IncomingMessage): boolean {
  return /^(?:NTLM|Negotiate)(?: |$)/i.test(headers.authorization ?? '')
}

/** One connection to one origin, at most. */
export class KeptOrigin {
  #kept: { readonly origin: string; readonly stream: TunnelStream } | undefined
  #idle: NodeJS.Timeout | undefined

  /** The stream to `origin`, if there is one; it is the caller's then. */
  take(origin: string): TunnelStream | undefined {
    const kept = this.#kept
    if (kept === undefined || kept.origin !== origin) return undefined
    this.#release(kept.stream)
    return kept.stream
  }

  /** Keeps a stream that has nothing to say, in the place of the one before. */
  keep(origin: string, stream: TunnelStream): void {
    this.#drop()
    if (stream.destroyed || stream.readableEnded) {
      stream.destroy()
      return
    }
    this.#kept = { origin, stream }
    this.#idle = setTimeout(this.#drop, KEPT_IDLE)
    stream.on('data', this.#drop).on('end', this.#drop).on('close', this.#drop)
    stream.resume()
  }

  readonly #drop = (): void => {
    if (this.#kept === undefined) return
    const { stream } = this.#kept
    this.#release(stream)
    stream.destroy()
  }

  #release(stream: TunnelStream): void {
    clearTimeout(this.#idle)
    this.#kept = undefined
    stream.off('data', this.#drop).off('end', this.#drop).off('close', this.#drop)
    stream.pause()
  }

  /** Ends what is kept. */
  close(): void {
    this.#drop()
  }
}
