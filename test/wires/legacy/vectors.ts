// The types of the vectors in fixtures/legacy-*.json, and the frames they decode to.
import type { Frame } from '../../../src/wires/legacy/frame.ts'
import { fromJson } from '../anytls/vectors.ts'
import { fixture } from '../../codec/vectors.ts'
import type { FrameVectorOf, Vector } from '../../codec/vectors.ts'

/** A decoded frame as JSON has it: bytes are hex with runs, see {@link fromRuns}. */
export type FrameJson = { readonly type: Frame['type'] } & Readonly<Record<string, number | string>>

interface LegacyVector extends Vector {
  /** An authentication block stands in front of the frames. */
  readonly auth?: boolean
}

export interface FrameVector extends LegacyVector, FrameVectorOf<FrameJson> {}

export const frameVectors = fixture('legacy-frames') as {
  readonly valid: readonly FrameVector[]
  readonly partial: readonly LegacyVector[]
}

export const authVectors = fixture('legacy-auth') as {
  readonly password: string
  readonly firstRecords: readonly (Vector & { readonly matches: boolean })[]
}

export const settingsVectors = fixture('legacy-settings') as {
  readonly client: readonly {
    readonly name: string
    readonly text: string
    readonly version: number
    readonly client: string
    readonly schemeDigest: string
  }[]
  readonly server: readonly {
    readonly name: string
    readonly text: string
    readonly version: number
  }[]
}

export const shaperVectors = fixture('legacy-shaper') as {
  readonly cases: readonly {
    readonly name: string
    readonly scheme: string
    readonly authPadding: number
    readonly draws: readonly number[]
    readonly delivers: readonly { readonly data: number; readonly writes: readonly number[] }[]
  }[]
}

/** The frame that a vector's JSON stands for. */
export function frameOf(json: FrameJson): Frame {
  return fromJson(json) as Frame
}
