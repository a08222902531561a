// What happens on a stream, as frames of ANYTLS v1 and of mux1.
// Must never decide anything but how a thing is said.
import { CloseCode } from '../../engine/close-code.ts'
import type { StreamFrames } from '../../engine/streams.ts'
import { toTextBlock } from '../../codec/text-block.ts'
import * as encode from './frame-encoder.ts'
import { MAX_RESET_REASON, StreamFlag } from './frame.ts'

/** What the frames need of their connection. */
export interface StreamFramesHost {
  /** Writes one Frame that carries data, in parts. */
  readonly deliver: (parts: readonly Uint8Array[]) => void
  /** Writes one Frame that carries none. */
  readonly send: (frame: Uint8Array) => void
  /** Whether mux1 is negotiated. */
  readonly mux1: () => boolean
}

export function makeStreamFrames({ deliver, send, mux1 }: StreamFramesHost): StreamFrames {
  return {
    accept: ({ id }) => send(encode.encodeStreamAck(id)),
    data: ({ id }, parts, bytes) => deliver([encode.encodeDataHead(id, bytes), ...parts]),
    credit: ({ id }, bytes) => send(encode.encodeStreamCredit(id, bytes)),
    end: ({ id }) => send(encode.encodeStreamFin(id)),
    reset(id, code, reason) {
      // RST says "over" and no more; a reason needs mux1.
      const frame =
        mux1() && code !== CloseCode.Graceful
          ? encode.encodeStreamReset(id, code, toTextBlock(reason, MAX_RESET_REASON))
          : encode.encodeStream(id, StreamFlag.Rst)
      send(frame)
    },
  }
}
