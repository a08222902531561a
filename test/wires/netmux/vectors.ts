// The types of the vectors in fixtures/netmux-frames.json and the frames they decode to.
import type { Frame } from '../../../src/wires/netmux/frame.ts'
import { fromRuns } from '../anytls/support.ts'
import { fixture } from '../../codec/vectors.ts'
import type { Vector } from '../../codec/vectors.ts'

/** A decoded frame as JSON has it: payload is hex with runs, see {@link fromRuns}. */
export type FrameJson = { readonly type: Frame['type'] } & Readonly<
  Record<string, number | string | boolean>
>

export interface FrameVector extends Vector {
  readonly frames: readonly FrameJson[]
  /** The bytes are the ones that an encoder must make of the frames. */
  readonly canonical?: boolean
}

export interface ViolationVector extends Vector {
  /** How many bytes must be seen before the violation shows. */
  readonly at: number
  readonly code: string
  /** What the message must contain. */
  readonly message: string
  /** Whole frames before the violation. */
  readonly frames?: readonly FrameJson[]
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
