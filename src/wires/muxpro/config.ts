// What both Mux.Pro machines are told when they are made, and the defaults.
// Must never read the environment: everything comes in as an argument.
import { invalidOption } from '../../errors.ts'
import { MAX_STREAM_ID } from './frame.ts'
import type { CountPlace } from './frame.ts'

/** Time limits in milliseconds. */
export interface Timeouts {
  /** How long the peer's NegotiateVersion may take. */
  readonly nego: number
  /** This end has sent nothing for that long: it sends a KeepAlive. */
  readonly keepalive: number
  /**
   * The peer has sent nothing for that long: the connection ends. Not while there are sub-connections and
   * the peer has never sent a KeepAlive, which it need not (sections 5.1 and 5.2).
   */
  readonly connection: number
  /** No frame of a sub-connection either way: it ends. */
  readonly stream: number
  /** Client: how long a sub-connection whose writable side has ended still waits for an answer. */
  readonly linger: number
}

export const DEFAULT_TIMEOUTS: Timeouts = Object.freeze({
  nego: 10_000,
  keepalive: 15_000,
  connection: 60_000,
  stream: 3_600_000,
  linger: 30_000,
})

/** Sub-connections that one main connection carries at once unless told otherwise. */
const DEFAULT_MAX_STREAMS = 1_024

/** What a machine of either role needs. */
export interface ConnectionConfig {
  readonly timeouts: Timeouts
  /** Most sub-connections at once, at most 65,535. */
  readonly maxStreams: number
}

/** What only a client is told. */
export interface ClientConfig extends ConnectionConfig {
  /** Where the version count of its NegotiateVersion stands (D36). */
  readonly countPlace: CountPlace
}

/** What only a server is told. */
export interface ServerConfig extends ConnectionConfig {
  /** The first priority that a client may have; one that asks to go before it gets this one (D41). */
  readonly firstPriority: number
}

/** What an application may say to either end; whatever is left out is the default. */
interface MuxProSettings {
  /** Overrides of the time limits, in milliseconds. */
  readonly timeouts?: Partial<Timeouts> | undefined
  /** Most sub-connections at once, 1 to 65,535. Default 1,024. */
  readonly maxStreams?: number | undefined
}

export interface ClientSettings extends MuxProSettings {
  /**
   * Where the version count of our NegotiateVersion stands: in the metadata, as the draft has it, or before
   * the list, as the Go implementation reads it. Answers are taken in either form. Default `metadata`.
   */
  readonly countPlace?: CountPlace | undefined
}

export interface ServerSettings extends MuxProSettings {
  /**
   * The first priority that a client may have, 0 to 255: one that asks to go before it gets this one.
   * Default 0: clients have their way.
   */
  readonly firstPriority?: number | undefined
}

const COUNT_PLACES: readonly CountPlace[] = ['metadata', 'extra-data']

/** @throws AnyTlsError `ERR_OPTION_INVALID` */
export function parseClientSettings(settings: ClientSettings): ClientConfig {
  const { countPlace = 'metadata' } = settings
  if (!COUNT_PLACES.includes(countPlace)) {
    throw invalidOption('countPlace must be metadata or extra-data')
  }
  return { ...parseSettings(settings), countPlace }
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` */
export function parseServerSettings(settings: ServerSettings): ServerConfig {
  const { firstPriority = 0 } = settings
  if (!Number.isInteger(firstPriority) || firstPriority < 0 || firstPriority > 255) {
    throw invalidOption('firstPriority must be a whole number from 0 to 255')
  }
  return { ...parseSettings(settings), firstPriority }
}

function parseSettings({
  timeouts = {},
  maxStreams = DEFAULT_MAX_STREAMS,
}: MuxProSettings): ConnectionConfig {
  if (!Number.isInteger(maxStreams) || maxStreams < 1 || maxStreams > MAX_STREAM_ID) {
    throw invalidOption(`maxStreams must be a whole number from 1 to ${MAX_STREAM_ID}`)
  }
  for (const [name, value] of Object.entries(timeouts)) {
    if (!(name in DEFAULT_TIMEOUTS)) throw invalidOption(`timeouts.${name} is not known`)
    if (!(value > 0)) throw invalidOption(`timeouts.${name} must be above 0 milliseconds`)
  }
  return { timeouts: Object.freeze({ ...DEFAULT_TIMEOUTS, ...timeouts }), maxStreams }
}
