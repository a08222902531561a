// What carries a Mux.Pro or net-mux session: any Duplex that an application gives.
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { invalidOption } from '../errors.ts'

const METHODS = ['on', 'read', 'write', 'end', 'destroy'] as const satisfies (keyof Duplex)[]

/**
 * Makes `duplex` fit for a session. A socket, a TLSSocket too, sends small frames at once: with the
 * algorithm of Nagle each turn of credit would wait for an acknowledgement that the peer delays.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for what is no Duplex
 */
export function prepareCarrier(duplex: Duplex): Duplex {
  if (!isDuplex(duplex)) {
    throw invalidOption('what carries a session must be a Duplex, such as a socket')
  }
  if (duplex instanceof Socket) duplex.setNoDelay(true)
  return duplex
}

/** By what a session calls: streams of other libraries are not instances of Node's. */
function isDuplex(value: unknown): value is Duplex {
  if (typeof value !== 'object' || value === null) return false
  const methods = value as Partial<Record<string, unknown>>
  return METHODS.every((name) => typeof methods[name] === 'function')
}
