// The client's way to a session: a TLS connection, and the machine of the wire that the server speaks.
// Must never send a byte of a wire before the certificate has been accepted.
import { anyTlsClient } from '../wires/anytls/client.ts'
import { AnyTlsError, invalidOption } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { legacyClient } from '../wires/legacy/client.ts'
import { guarded } from '../session/callbacks.ts'
import { systemClock } from '../session/clock.ts'
import type { Timer } from '../session/clock.ts'
import { Session } from '../session/session.ts'
import { DEFAULT_SCHEME } from '../shaping/scheme.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { MemorySchemeStore } from '../shaping/scheme-store.ts'
import type { SchemeStore } from '../shaping/scheme-store.ts'
import { formatHostPort } from '../codec/host-port.ts'
import { connectSecurely } from './secure-socket.ts'
import type { ServerIdentity } from './secure-socket.ts'
import { parseSessionSettings } from './session-options.ts'
import type { SessionSettings } from './session-options.ts'
import { MemoryWireStore } from './wire-store.ts'
import type { ServerWire, WireStore } from './wire-store.ts'

/** How {@link connect} reaches a server, knows that it is the right one, and speaks to it. */
export interface ConnectOptions extends SessionSettings, ServerIdentity {
  /**
   * ANYTLS v1 (default) or the original wire; `auto` finds out what the server speaks and remembers it.
   */
  readonly wire?: 'auto' | ServerWire | undefined
  /** Padding scheme for as long as the server has not sent another. Default: the built-in one. */
  readonly scheme?: Scheme | undefined
  /** Where the schemes that servers sent are kept (D23). Default: in memory, for the process. */
  readonly schemeStore?: SchemeStore | undefined
  /** Where it is kept what servers speak, for `auto`. Default: in memory, for the process. */
  readonly wireStore?: WireStore | undefined
  /** How long TCP and TLS may take together, in milliseconds. Default 10,000. */
  readonly connectTimeout?: number | undefined
  /** Gives up connecting; a session that stands is not affected. */
  readonly signal?: AbortSignal | undefined
}

const WIRES: ReadonlySet<string> = new Set(['auto', 'v1', 'legacy'])

/** How long `auto` waits for the NEGO of a server that it does not know, unless told otherwise, in milliseconds. */
const FIRST_NEGO_TIMEOUT = 4_000

const processWideSchemes = new MemorySchemeStore()
const processWideWires = new MemoryWireStore()

/**
 * Connects to a server. The session may be used at once; whether the server accepts the password shows in
 * its `established` or `close` event, as the wire has no earlier answer. A refused password is `ERR_AUTH_REJECTED`
 * there, whatever the server answered; see docs/errors.md for what cannot be told from a lost link.
 *
 * With `wire: 'auto'` a server that nothing is known of is asked on ANYTLS v1 first, and the call resolves
 * when it has answered: look at `session.established` before waiting for the event. One that does not answer
 * with a NEGO is asked once more, on the original wire.
 *
 * @throws AnyTlsError rejects with `ERR_OPTION_INVALID`, `ERR_CONNECT_FAILED`, `ERR_CONNECT_TIMEOUT` or
 *   `ERR_CERTIFICATE_PIN`, or with the signal's reason
 * @example
 * const session = await connect({ host: 'example.net', port: 443, password })
 * const stream = session.openStream()
 */
export async function connect(options: ConnectOptions): Promise<Session> {
  const { wire = 'v1' } = options
  if (!WIRES.has(wire)) {
    throw invalidOption('wire must be auto, v1 or legacy')
  }
  return wire === 'auto' ? connectOnAnyWire(options) : connectOn(wire, options)
}

async function connectOnAnyWire(options: ConnectOptions): Promise<Session> {
  const server = formatHostPort(options)
  const store = guardedStore(options.wireStore)
  const known = store.get(server)
  let sure = true
  if (known === undefined) {
    const timeouts = { hold: 1, nego: FIRST_NEGO_TIMEOUT, ...options.timeouts }
    const first = await connectOn('v1', { ...options, timeouts })
    const answer = await answerOf(first, options.signal)
    if (answer === 'nego') {
      store.set(server, 'v1')
      return first
    }
    sure = answer === 'no'
  }
  const session = await connectOn(
    known === undefined || known === 'legacy-1' ? 'legacy' : known,
    options,
  )
  session.once('established', () => {
    // A connection that was lost says nothing: the next one asks again.
    if (known === undefined && sure) store.set(server, 'legacy')
  })
  // A server that has become another one, or never was one, is asked anew.
  session.once('close', (error) => {
    if (!session.established && error !== undefined) store.delete(server)
  })
  return session
}

/** What a store throws harms itself alone: nothing is known then. */
function guardedStore(store: WireStore = processWideWires): WireStore {
  return {
    get: (server) => guarded(() => store.get(server)),
    set: (server, wire) => guarded(() => store.set(server, wire)),
    delete: (server) => guarded(() => store.delete(server)),
  }
}

/** Codes of a link that is gone, whoever is at its other end. */
const LOST: ReadonlySet<ErrorCode> = new Set(['ERR_CONNECTION_LOST', 'ERR_CONNECTION_TIMEOUT'])

/** `lost`: the connection broke, or nothing came in time. A session without an answer has ended then. */
async function answerOf(
  session: Session,
  signal: AbortSignal | undefined,
): Promise<'nego' | 'no' | 'lost'> {
  const onAbort = (): void => session.destroy()
  signal?.addEventListener('abort', onAbort)
  let error: Error | undefined
  await new Promise<void>((resolve) => {
    session.once('established', () => resolve())
    // What it says after that is of no interest, and may take its time.
    session.once('ending', (cause) => {
      error = cause
      resolve()
    })
    session.once('close', (cause) => {
      error ??= cause
      resolve()
    })
    if (signal?.aborted === true) onAbort()
  })
  signal?.removeEventListener('abort', onAbort)
  signal?.throwIfAborted()
  if (session.established) return 'nego'
  session.destroy()
  const lost = error instanceof AnyTlsError && LOST.has(error.code)
  return lost ? 'lost' : 'no'
}

async function connectOn(wire: ServerWire, options: ConnectOptions): Promise<Session> {
  const { signal, clock = systemClock, schemeStore = processWideSchemes } = options
  const { connectTimeout = 10_000, stallTimeout } = options
  const server = formatHostPort(options)
  const scheme = guarded(() => schemeStore.get(server)) ?? options.scheme ?? DEFAULT_SCHEME
  const isOld = wire === 'legacy' && guardedStore(options.wireStore).get(server) === 'legacy-1'
  const settings = parseSessionSettings(options, scheme)
  const config = isOld ? { ...settings, knownVersion: 1 as const } : settings
  const duplex = await connectSecurely(options, { signal, clock, connectTimeout })
  const makeMachine = wire === 'v1' ? anyTlsClient : legacyClient
  const machine = makeMachine(config, clock.now())
  const session = new Session({ duplex, machine, clock, stallTimeout })
  session.on('scheme', (update) => guarded(() => schemeStore.set(server, update)))
  if (wire === 'legacy') learnVersion(session, options, config.timeouts.answer)
  return session
}

/**
 * Remembers a server of version 1 (D48): it answers, but sends no settings. What it speaks beside the original
 * wire is another question, which only `auto` asks.
 */
function learnVersion(session: Session, options: ConnectOptions, answerTimeout: number): void {
  const { clock = systemClock } = options
  const server = formatHostPort(options)
  const store = guardedStore(options.wireStore)
  const learn = (): void => {
    const known = store.get(server)
    const isOld = !session.pingable
    if (isOld && known !== 'legacy-1') store.set(server, 'legacy-1')
    // It has learnt something since; it may have learnt more.
    if (!isOld && known === 'legacy-1') store.delete(server)
  }
  let timer: Timer | undefined
  session.once('established', () => {
    timer = clock.schedule(answerTimeout, learn)
  })
  session.once('ending', () => timer?.cancel())
  session.once('close', () => timer?.cancel())
}
