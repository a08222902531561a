// Connecting to a target: name lookup, happy eyeballs (RFC 8305), one time limit for all of it.
// Must never leave an attempt, a timer or a listener behind, whichever way it ends.
import { lookup as systemLookup } from 'node:dns/promises'
import { connect, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { AnyTlsError } from '../../errors.ts'
import { orAborted } from '../../session/callbacks.ts'
import { MAX_DELAY } from '../../session/clock.ts'
import { LentReads } from '../../session/lent-reads.ts'
import type { Address } from '../../codec/address.ts'
import { allowedOf } from './policy.ts'
import type { AllowAddress } from './policy.ts'

/** One address of a name, as `node:dns` gives it. `family` is 4 or 6. */
export interface ResolvedAddress {
  /** IPv4 or IPv6, as text. */
  readonly address: string
  /** 4 or 6. */
  readonly family: number
}

/** Finds the addresses of a name, the preferred first. */
export type Lookup = (name: string) => Promise<readonly ResolvedAddress[]>

/** Options of {@link dial}. */
export interface DialOptions {
  /**
   * Longest time for lookup and connecting together, in ms. Default 8,000: less than the 10 s after which the client
   * gives a stream up (D26), so that it still hears the reason.
   */
  readonly timeout?: number
  /** How long one address has before the next one is tried beside it, in ms. Default 250. */
  readonly attemptDelay?: number
  /** Default: the system's resolver. */
  readonly lookup?: Lookup
  /** Whether an address that was found may be dialled. Default: all may. */
  readonly allowAddress?: AllowAddress | undefined
  /** Gives up. */
  readonly signal?: AbortSignal
}

const DEFAULT_TIMEOUT = 8_000
const DEFAULT_ATTEMPT_DELAY = 250
// Addresses of one name that are tried, so that a hostile DNS answer costs little.
const MAX_ADDRESSES = 16
const KEEP_ALIVE_DELAY = 60_000

/**
 * Connects to `target`. The addresses of a name race: one is tried every `attemptDelay`, at once when
 * one has failed, and those under way go on. (Node's own `autoSelectFamily` gives up each attempt when
 * it starts the next and so never reaches a distant host whose last address is dead.)
 *
 * The socket allows half-open, has no delay, and sends TCP keep-alives. It has an `error` listener.
 *
 * @throws AnyTlsError `ERR_DIAL_FAILED` with the system's error as `cause` (an AggregateError where there were several),
 * `ERR_DIAL_TIMEOUT`, `ERR_TARGET_REJECTED` for what `allowAddress` refuses; when aborted, the signal's reason
 */
export function dial(target: Address, options: DialOptions = {}): Promise<Socket> {
  return dialWith(open, target, options)
}

/** As {@link dial}, for a relay: what is read goes to whoever calls `takeReads`, and is in no `data` event. */
export function dialForRelay(target: Address, options: DialOptions = {}): Promise<Socket> {
  return dialWith(openLent, target, options)
}

type Open = (host: string, port: number, reads?: LentReads) => Socket

async function dialWith(open: Open, target: Address, options: DialOptions): Promise<Socket> {
  options.signal?.throwIfAborted()
  if (isIP(target.host) === 0) return dialName(open, target, options)
  allowedOf([target.host], target.port, options.allowAddress)
  return dialAddress(open, target, options)
}

/** One address needs no race, and nothing that a race needs. */
function dialAddress(
  open: Open,
  { host, port }: Address,
  { timeout = DEFAULT_TIMEOUT, signal }: DialOptions,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = open(host, port)
    const release = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const fail = (error: Error) => {
      release()
      reject(error)
      socket.destroy()
    }
    const onAbort = () => fail(signal?.reason as Error)
    const limit = Math.min(timeout, MAX_DELAY)
    const timer = setTimeout(() => fail(new AnyTlsError('ERR_DIAL_TIMEOUT')), limit)
    signal?.addEventListener('abort', onAbort)
    socket.on('error', (cause) => fail(new AnyTlsError('ERR_DIAL_FAILED', undefined, { cause })))
    socket.once('connect', () => {
      release()
      resolve(socket)
    })
  })
}

async function dialName(open: Open, target: Address, options: DialOptions): Promise<Socket> {
  const { timeout = DEFAULT_TIMEOUT, attemptDelay = DEFAULT_ATTEMPT_DELAY, signal } = options
  const stop = new AbortController()
  const onAbort = () => stop.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort)
  const limit = Math.min(timeout, MAX_DELAY)
  const timer = setTimeout(() => stop.abort(new AnyTlsError('ERR_DIAL_TIMEOUT')), limit)
  try {
    const found = await orAborted(resolve(target.host, options.lookup), stop.signal)
    const addresses = allowedOf(found, target.port, options.allowAddress)
    return await race(open, addresses, target.port, attemptDelay, stop.signal)
  } catch (cause) {
    stop.signal.throwIfAborted()
    if (cause instanceof AnyTlsError && cause.code === 'ERR_TARGET_REJECTED') throw cause
    throw new AnyTlsError('ERR_DIAL_FAILED', undefined, { cause })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/**
 * The addresses of `host`, at most 16, the families by turns; an IP literal as it is.
 *
 * @throws what `lookup` throws
 */
export async function resolve(
  host: string,
  lookup: Lookup = lookupAll,
): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host]
  return alternate(await lookup(host)).slice(0, MAX_ADDRESSES)
}

function lookupAll(name: string): Promise<readonly ResolvedAddress[]> {
  return systemLookup(name, { all: true, order: 'verbatim' })
}

/** The families by turns, beginning with the first address (RFC 8305 section 4). */
function alternate(addresses: readonly ResolvedAddress[]): readonly string[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family)
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family)
  const longer = Math.max(first.length, second.length)
  const turns = Array.from({ length: longer }, (_, turn) => [first[turn], second[turn]])
  return turns.flat().flatMap((entry) => (entry === undefined ? [] : [entry.address]))
}

/** Resolves with the first socket that connects; the others are destroyed. */
function race(
  open: Open,
  addresses: readonly string[],
  port: number,
  attemptDelay: number,
  stop: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const underWay = new Set<Socket>()
    const errors: Error[] = []
    let next = 0
    let timer: NodeJS.Timeout | undefined

    const finish = (winner?: Socket) => {
      clearTimeout(timer)
      stop.removeEventListener('abort', onStop)
      const losers = [...underWay].filter((socket) => socket !== winner)
      underWay.clear()
      for (const socket of losers) socket.destroy()
    }
    const onStop = () => {
      finish()
      reject(stop.reason as Error)
    }
    const attempt = () => {
      clearTimeout(timer)
      const host = addresses[next]
      next += 1
      if (host === undefined) {
        if (underWay.size > 0) return
        finish()
        reject(errors.length === 1 && errors[0] ? errors[0] : new AggregateError(errors))
        return
      }
      if (next < addresses.length) timer = setTimeout(attempt, Math.min(attemptDelay, MAX_DELAY))
      const socket = open(host, port)
      underWay.add(socket)
      socket.on('connect', () => {
        if (!underWay.has(socket)) return
        finish(socket)
        resolve(socket)
      })
      socket.on('error', (error) => {
        // Errors of the winner, later, belong to whoever holds it.
        if (!underWay.delete(socket)) return
        errors.push(error)
        attempt()
      })
    }

    stop.addEventListener('abort', onStop)
    attempt()
  })
}

function openLent(host: string, port: number): Socket {
  const reads = new LentReads('tcp')
  return reads.of(open(host, port, reads))
}

function open(host: string, port: number, reads?: LentReads): Socket {
  return connect({
    host,
    port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_DELAY,
    autoSelectFamily: false,
    ...(reads && { onread: reads.onread }),
  })
}
