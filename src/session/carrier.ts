// What carries a session: a socket, or any other Duplex that an application gives.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { invalidOption } from '../errors.ts'

const METHODS = ['on', 'read', 'write', 'end', 'destroy'] as const satisfies (keyof Duplex)[]

/** Whether it is a socket, a TLSSocket too. Node's own load with the first question, not with the library. */
export function isSocket(duplex: Duplex): duplex is Socket {
  return duplex instanceof process.getBuiltinModule('node:net').Socket
}

/**
 * Makes `duplex` fit for a session of Mux.Pro or net-mux. A socket sends small frames at once: with the algorithm of
 * Nagle each turn of credit would wait for an acknowledgement that the peer delays.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for what is no Duplex
 */
export function prepareCarrier(duplex: Duplex): Duplex {
  if (!isDuplex(duplex)) {
    throw invalidOption('what carries a session must be a Duplex, such as a socket')
  }
  if (isSocket(duplex)) duplex.setNoDelay(true)
  return duplex
}

/** By what a session calls: streams of other libraries are not instances of Node's. */
function isDuplex(value: unknown): value is Duplex {
  if (typeof value !== 'object' || value === null) return false
  const methods = value as Partial<Record<string, unknown>>
  return METHODS.every((name) => typeof methods[name] === 'function')
}
