// What happens on a stream, as frames of ANYTLS v1 and of mux1.
// Must never decide anything but how a thing is said.
import { CloseCode } from '../mux/close-code.ts'
import type { StreamFrames } from '../mux/streams.ts'
import { toTextBlock } from '../wire/text-block.ts'
import * as encode from './frame-encoder.ts'
import { MAX_RESET_REASON, StreamFlag } from './frame.ts'

/**
 * @param deliver writes one Frame, in parts
 * @param mux1 whether mux1 is negotiated
 */
export function makeStreamFrames(
  deliver: (parts: readonly Uint8Array[]) => void,
  mux1: () => boolean,
): StreamFrames {
  return {
    accept: ({ id }) => deliver([encode.encodeStreamAck(id)]),
    data: ({ id }, parts, bytes) => deliver([encode.encodeDataHead(id, bytes), ...parts]),
    credit: ({ id }, bytes) => deliver([encode.encodeStreamCredit(id, bytes)]),
    end: ({ id }) => deliver([encode.encodeStreamFin(id)]),
    reset(id, code, reason) {
      // RST says "over" and no more; a reason needs mux1.
      const frame =
        mux1() && code !== CloseCode.Graceful
          ? encode.encodeStreamReset(id, code, toTextBlock(reason, MAX_RESET_REASON))
          : encode.encodeStream(id, StreamFlag.Rst)
      deliver([frame])
    },
  }
}
