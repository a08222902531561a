// The types of the vectors in fixtures/frames.json, padding.json and auth.json, and the frames they decode to.
import type { Frame } from '../../../src/wires/anytls/frame.ts'
import { fixture } from '../../codec/vectors.ts'
import type { FrameVectorOf, Vector, ViolationVectorOf } from '../../codec/vectors.ts'
import { fromRuns } from './support.ts'

/** A decoded frame as JSON has it: bytes are hex with runs, see {@link fromRuns}. */
export type FrameJson = { readonly type: Frame['type'] } & Readonly<Record<string, number | string>>

export type FrameVector = FrameVectorOf<FrameJson>

export type ViolationVector = ViolationVectorOf<FrameJson>

export const frameVectors = fixture('frames') as {
  readonly valid: readonly FrameVector[]
  readonly invalid: readonly ViolationVector[]
  readonly partial: readonly Vector[]
}

export const paddingVectors = fixture('padding') as {
  readonly frames: readonly {
    readonly name: string
    readonly section: string
    readonly total: number
    readonly head: string | null
    readonly content: number | null
  }[]
}

export const authVectors = fixture('auth') as {
  readonly password: string
  readonly hashes: readonly { name: string; section: string; password: string; hash: string }[]
  readonly frames: readonly (Vector & { readonly password: string; readonly padding: number })[]
  readonly firstRecords: readonly (Vector & { readonly matches: boolean })[]
}

const BYTES = new Set(['passwordHash', 'body', 'data', 'reason'])

/** The frame that a vector's JSON stands for. */
export function frameOf(json: FrameJson): Frame {
  return fromJson(json) as Frame
}

/** The JSON of a vector with its bytes as bytes. */
export function fromJson(json: Readonly<Record<string, number | string>>): object {
  const fields = Object.entries(json).map(([key, value]) => [
    key,
    BYTES.has(key) && typeof value === 'string' ? fromRuns(value) : value,
  ])
  return Object.fromEntries(fields) as object
}
