// What the two NEGO frames say, as KV blocks (draft, Version Negotiation; D19; mux1, Negotiation).
import { BlockError, violation } from '../../errors.ts'
import type { AnyTlsError } from '../../errors.ts'
import { decodeKvBlock, encodeKvBlock } from '../../codec/kv-block.ts'
import type { KvBlock } from '../../codec/kv-block.ts'

/** The versions that we speak, preferred first. */
export const SUPPORTED_VERSIONS: readonly number[] = [1]

/** The smallest stream window that mux1 permits, in bytes. */
export const MUX1_MIN_WINDOW = 65_536

/** What a client may send on a stream before it knows the server's window, if it takes that much itself, in bytes. */
const LONG_FIRST_FLIGHT = 67_108_864

const MUX1 = 'mux1'

/** The client's NEGO. */
export interface ClientNego {
  /** Versions the client speaks, preferred first. */
  readonly versions: readonly number[]
  /** The client's implementation, `name/version`. */
  readonly client: string
  /** Digest of its padding scheme, lower-case hex (D24). */
  readonly schemeDigest: string
  /** Its window for each stream in bytes if it offers mux1. */
  readonly mux1Window: number | undefined
}

/** The server's NEGO. */
export interface ServerNego {
  readonly version: number
  readonly server: string
  readonly mux1Window: number | undefined
}

export function encodeClientNegoBlock(nego: ClientNego): Uint8Array {
  return encodeKvBlock([
    ['version', nego.versions.map(String)],
    ['client', [nego.client]],
    ['padding-md5', [nego.schemeDigest]],
    ...mux1Lines(nego.mux1Window),
  ])
}

/** @throws AnyTlsError `ERR_PROTOCOL_VIOLATION` for a malformed block or one that lacks what it must say */
export function decodeClientNegoBlock(block: Uint8Array): ClientNego {
  const values = decodeBlock(block)
  return {
    versions: (values.get('version') ?? missing('version')).map(parseVersion),
    client: values.get('client')?.join(',') ?? missing('client'),
    schemeDigest: (values.get('padding-md5')?.[0] ?? missing('padding-md5')).toLowerCase(),
    mux1Window: mux1Window(values),
  }
}

export function encodeServerNegoBlock(nego: ServerNego): Uint8Array {
  return encodeKvBlock([
    ['version', [String(nego.version)]],
    ['server', [nego.server]],
    ...mux1Lines(nego.mux1Window),
  ])
}

/** @throws AnyTlsError `ERR_PROTOCOL_VIOLATION` for a malformed block or one without a selected version */
export function decodeServerNegoBlock(block: Uint8Array): ServerNego {
  const values = decodeBlock(block)
  const versions = values.get('version') ?? missing('version')
  if (versions.length !== 1) throw invalid('the server must select one version')
  return {
    version: parseVersion(versions[0] ?? ''),
    server: values.get('server')?.join(',') ?? '',
    mux1Window: mux1Window(values),
  }
}

function decodeBlock(block: Uint8Array): KvBlock {
  try {
    return decodeKvBlock(block)
  } catch (error) {
    // Appendix A: the block is rejected. To the connection that is a violation like any other.
    throw error instanceof BlockError ? invalid(error.message, { cause: error }) : error
  }
}

/** What a client with that window may send on a stream before it knows the server's, in bytes. */
export function firstFlight(window: number): number {
  return window >= LONG_FIRST_FLIGHT ? LONG_FIRST_FLIGHT : MUX1_MIN_WINDOW
}

/** The version to use: the client's first preference that we speak too. */
export function chooseVersion(offered: readonly number[]): number | undefined {
  return offered.find((version) => SUPPORTED_VERSIONS.includes(version))
}

function mux1Lines(window: number | undefined): [string, string[]][] {
  if (window === undefined) return []
  return [
    ['extensions', [MUX1]],
    ['window', [String(window)]],
  ]
}

function mux1Window(values: KvBlock): number | undefined {
  if (values.get('extensions')?.includes(MUX1) !== true) return undefined
  const window = parseWhole(values.get('window')?.[0] ?? '')
  if (window === undefined || window < MUX1_MIN_WINDOW) throw invalid('mux1 without a legal window')
  return window
}

// A version that is no number of ours is somebody's future: it is carried as NaN and never chosen.
function parseVersion(text: string): number {
  return parseWhole(text) ?? NaN
}

function parseWhole(text: string): number | undefined {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  return Number.isSafeInteger(value) ? value : undefined
}

function missing(key: string): never {
  throw invalid(`${key} is missing`)
}

function invalid(message: string, options?: ErrorOptions): AnyTlsError {
  return violation(`NEGO: ${message}`, options)
}
