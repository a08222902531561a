// The types of the vectors in fixtures/muxpro-frames.json, and the frames that they stand for.
import type { CountPlace, Frame } from '../../../src/wires/muxpro/frame.ts'
import { fromRuns } from '../anytls/support.ts'
import { fixture } from '../../codec/vectors.ts'
import type { FrameVectorOf, ViolationVectorOf } from '../../codec/vectors.ts'

/** A decoded frame as JSON has it: data is hex with runs, the request of a New lies flat. */
export interface FrameJson {
  readonly type: Frame['type']
  readonly stream?: number
  readonly data?: string
  readonly code?: number
  readonly increment?: number
  readonly problem?: string
  readonly versions?: readonly number[]
  readonly countPlace?: CountPlace
  readonly network?: 'tcp' | 'udp'
  readonly host?: string
  readonly port?: number
  readonly priority?: number
}

export interface FrameVector extends FrameVectorOf<FrameJson> {
  /** Sub-connections that carry datagrams. */
  readonly datagrams?: readonly number[]
}

export type ViolationVector = ViolationVectorOf<FrameJson>

export const muxproVectors = fixture('muxpro-frames') as {
  readonly valid: readonly FrameVector[]
  readonly invalid: readonly ViolationVector[]
  readonly partial: readonly FrameVector[]
}

/** The frame that a vector's JSON stands for. */
export function frameOf({ network, host, port, priority, data, ...fields }: FrameJson): Frame {
  const request = { network, target: { host, port }, priority }
  return {
    ...fields,
    ...(network === undefined ? {} : { request }),
    ...(data === undefined ? {} : { data: fromRuns(data) }),
  } as Frame
}
