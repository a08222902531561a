// What the tests of this folder share: the fixtures, and bytes as hex.
import { readFileSync } from 'node:fs'
import { AnyTlsError } from '../../src/errors.ts'

/** Every vector names the section it comes from. */
export interface Vector {
  readonly section: string
  readonly name: string
  readonly hex: string
}

/** The parsed `fixtures/NAME.json`. Read, not imported: a bundler would spoil lone surrogates. */
export function fixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../fixtures/${name}.json`, import.meta.url), 'utf8'))
}

export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** The same bytes as a view into a larger buffer of 0xA5, so that reading beyond them shows. */
export function embedded(bytes: Uint8Array): Uint8Array {
  const around = new Uint8Array(bytes.length + 16).fill(0xa5)
  around.set(bytes, 8)
  return around.subarray(8, 8 + bytes.length)
}

/** What `action` throws; fails when it throws nothing. */
export function thrownBy(action: () => unknown, what: string): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new Error(`nothing was thrown for: ${what}`)
}

/** Bytes and the frames that they are, in JSON. */
export interface FrameVectorOf<Json> extends Vector {
  readonly frames: readonly Json[]
  /** The bytes are the ones that an encoder must make of the frames. */
  readonly canonical?: boolean
}

/** Bytes that break a rule. */
export interface ViolationVectorOf<Json> extends Vector {
  /** How many bytes must be seen before the violation shows. */
  readonly at: number
  /** What the message must contain. */
  readonly message: string
  /** Whole frames before the violation. */
  readonly frames?: readonly Json[]
}

/** The {@link AnyTlsError} that a call throws; anything else fails. */
export function errorOf(action: () => unknown): AnyTlsError {
  const error = thrownBy(action, 'a call')
  if (error instanceof AnyTlsError) return error
  throw error
}
