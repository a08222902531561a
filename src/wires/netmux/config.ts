// What a net-mux machine is told when it is made, and the defaults: those of the crate of that name.
// Must never read the environment: everything comes in as an argument.
import { invalidOption } from '../../errors.ts'
import { MAX_UINT32 } from './frame.ts'

/** Sizes in bytes, times in milliseconds. */
export interface NetMuxConfig {
  /**
   * What either end may send on a stream before the other has returned credit. The wire does not tell it:
   * give both ends the same, see {@link parseNetMuxConfig}.
   */
  readonly initialStreamWindow: number
  /** Most bytes of payload in a Data frame, of ours and of the peer's. Give both ends the same. */
  readonly maxFrameSize: number
  /** Most streams at once, those of both ends together. */
  readonly maxStreams: number
  /** The peer is silent for that long: a Ping is sent. `Infinity`: never. */
  readonly keepaliveInterval: number
  /** A Ping is outstanding and the peer stays silent: the session ends. */
  readonly keepaliveTimeout: number
  /** No answer to the opening of a stream: that stream ends. */
  readonly openTimeout: number
}

/** The configuration as an application gives it: whatever is left out is the default. */
export type NetMuxSettings = { readonly [Name in keyof NetMuxConfig]?: number | undefined }

export const DEFAULT_NETMUX_CONFIG: NetMuxConfig = Object.freeze({
  initialStreamWindow: 262_144,
  maxFrameSize: 65_536,
  maxStreams: 1_024,
  keepaliveInterval: 30_000,
  keepaliveTimeout: 30_000,
  openTimeout: 10_000,
})

/** The largest `maxFrameSize`: what the crate takes at most, whatever it is told. */
const LARGEST_FRAME = 16_777_216

/**
 * Checks settings and fills in the defaults.
 *
 * The window is not negotiated. Between ends that do not have the same one, the end with the larger sends
 * more than the other takes, which ends the session; and an end with less than half of the other's runs out
 * of credit before the other returns any, and stands still.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function parseNetMuxConfig(options: NetMuxSettings): NetMuxConfig {
  const config: Record<keyof NetMuxConfig, number> = { ...DEFAULT_NETMUX_CONFIG }
  for (const name of Object.keys(config) as (keyof NetMuxConfig)[]) {
    config[name] = options[name] ?? config[name]
  }
  checkWhole('initialStreamWindow', config.initialStreamWindow, MAX_UINT32)
  checkWhole('maxFrameSize', config.maxFrameSize, LARGEST_FRAME)
  checkWhole('maxStreams', config.maxStreams, MAX_UINT32)
  for (const name of ['keepaliveInterval', 'keepaliveTimeout', 'openTimeout'] as const) {
    if (!(config[name] > 0)) throw invalidOption(`${name} must be above 0 milliseconds`)
  }
  return Object.freeze(config)
}

function checkWhole(name: keyof NetMuxConfig, value: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return
  throw invalidOption(`${name} must be a whole number from 1 to ${most}`)
}
