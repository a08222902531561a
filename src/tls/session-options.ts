// The options that client and server share, and the machine configuration made of them.
import { DEFAULT_MAX_STREAMS, DEFAULT_TIMEOUTS, DEFAULT_WINDOW } from '../wires/anytls/config.ts'
import type { ConnectionConfig, Timeouts } from '../wires/anytls/config.ts'
import { MUX1_MIN_WINDOW } from '../wires/anytls/nego.ts'
import { invalidOption } from '../errors.ts'
import { DEFAULT_LEGACY_TIMEOUTS } from '../wires/legacy/config.ts'
import type { LegacyConfig, LegacyTimeouts } from '../wires/legacy/config.ts'
import type { Clock } from '../session/clock.ts'
import type { Scheme } from '../shaping/scheme.ts'
import type { RandomInt } from '../shaping/shaper.ts'
import { IMPLEMENTATION } from '../version.ts'

/** The time limits of both wires, in milliseconds. */
export type SessionTimeouts = Timeouts & LegacyTimeouts

/** What the machines of both wires are made with. */
export type SessionConfig = ConnectionConfig & LegacyConfig

const DEFAULTS: SessionTimeouts = Object.freeze({ ...DEFAULT_LEGACY_TIMEOUTS, ...DEFAULT_TIMEOUTS })

export interface SessionSettings {
  /** The shared secret. */
  readonly password: string
  /** Overrides of the time limits, in milliseconds. */
  readonly timeouts?: Partial<SessionTimeouts> | undefined
  /**
   * The mux1 extension: credit, half-close, reasons, a graceful goodbye. Offered by default, used when
   * the peer takes it. `window` is what one stream may have under way, in bytes, at least 65,536; by
   * default as much as the line takes, and no more than its reader does once that one is behind.
   */
  readonly mux1?:
    | boolean
    | {
        /** In bytes, at least 65,536. */
        readonly window: number
      }
    | undefined
  /** Most streams at once on a session. Default 1,024. */
  readonly maxStreams?: number | undefined
  /** How long unread streams may hold up their session before they are ended, in milliseconds. Default 20,000. */
  readonly stallTimeout?: number | undefined
  /** Time, for tests. */
  readonly clock?: Clock | undefined
  /** Uniform whole numbers in [min, max), for tests. Default: `crypto.randomInt`. */
  readonly randomInt?: RandomInt | undefined
}

/** SHA-256 of the UTF-8 password, 32 bytes (D13). */
export function hashPassword(password: string): Uint8Array {
  return process.getBuiltinModule('node:crypto').createHash('sha256').update(password).digest()
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` */
export function parseSessionSettings(settings: SessionSettings, scheme: Scheme): SessionConfig {
  const { password, mux1 = true } = settings
  if (typeof password !== 'string' || password === '')
    throw invalidOption('password must not be empty')
  const window = typeof mux1 === 'object' ? mux1.window : DEFAULT_WINDOW
  if (!Number.isSafeInteger(window) || window < MUX1_MIN_WINDOW) {
    throw invalidOption(`mux1.window must be a whole number of at least ${MUX1_MIN_WINDOW} bytes`)
  }
  const maxStreams = settings.maxStreams ?? DEFAULT_MAX_STREAMS
  if (!Number.isSafeInteger(maxStreams) || maxStreams < 1) {
    throw invalidOption('maxStreams must be a whole number of at least 1')
  }
  if (settings.stallTimeout !== undefined && !(settings.stallTimeout > 0)) {
    throw invalidOption('stallTimeout must be above 0 milliseconds')
  }
  return {
    passwordHash: hashPassword(password),
    scheme,
    name: IMPLEMENTATION,
    randomInt: settings.randomInt ?? process.getBuiltinModule('node:crypto').randomInt,
    timeouts: parseTimeouts(settings.timeouts ?? {}),
    mux1Window: mux1 === false ? undefined : window,
    maxStreams,
  }
}

function parseTimeouts(overrides: Partial<SessionTimeouts>): SessionTimeouts {
  for (const [name, value] of Object.entries(overrides)) {
    if (!(name in DEFAULTS)) throw invalidOption(`timeouts.${name} is not known`)
    if (!(value > 0)) throw invalidOption(`timeouts.${name} must be above 0 milliseconds`)
  }
  return Object.freeze({ ...DEFAULTS, ...overrides })
}
