// The types of the vectors in fixtures/netmux-frames.json and the frames they decode to.
import type { Frame } from '../../../src/wires/netmux/frame.ts'
import { fromRuns } from '../anytls/support.ts'
import { fixture } from '../../codec/vectors.ts'
import type { FrameVectorOf, Vector, ViolationVectorOf } from '../../codec/vectors.ts'

/** A decoded frame as JSON has it: payload is hex with runs, see {@link fromRuns}. */
export type FrameJson = { readonly type: Frame['type'] } & Readonly<
  Record<string, number | string | boolean>
>

export type FrameVector = FrameVectorOf<FrameJson>

export interface ViolationVector extends ViolationVectorOf<FrameJson> {
  readonly code: string
}

export const frameVectors = fixture('netmux-frames') as {
  readonly valid: readonly FrameVector[]
  readonly invalid: readonly ViolationVector[]
  readonly partial: readonly Vector[]
}

/** The frame that a vector's JSON stands for. */
export function frameOf(json: FrameJson): Frame {
  const { data } = json
  return { ...json, ...(typeof data === 'string' ? { data: fromRuns(data) } : {}) } as Frame
}
