// What happens on a stream, as frames of net-mux.
// Must never decide anything but how a thing is said.
import { CloseCode } from '../../engine/close-code.ts'
import type { StreamFrames } from '../../engine/streams.ts'
import { encodeDataHead, encodeWindowUpdate } from './frame-encoder.ts'
import { Flag } from './frame.ts'

/**
 * @param deliver writes one Frame, in parts
 * @param finishes whether FIN is all that a stream needs to be over in both directions
 */
export function makeStreamFrames(
  deliver: (parts: readonly Uint8Array[]) => void,
  finishes: (stream: number) => boolean,
): StreamFrames {
  return {
    accept: ({ id }) => deliver([encodeDataHead(id, 0, Flag.Ack)]),
    data: ({ id }, parts, bytes) => deliver([encodeDataHead(id, bytes), ...parts]),
    credit: ({ id }, bytes) => deliver([encodeWindowUpdate(id, bytes)]),
    end: ({ id }) => deliver([encodeDataHead(id, 0, Flag.Fin)]),
    // RST has no room for a code or a reason, and is an error to the peer whatever it was here.
    reset(id, code) {
      const inOrder = code === CloseCode.Graceful && finishes(id)
      deliver([encodeDataHead(id, 0, inOrder ? Flag.Fin : Flag.Rst)])
    },
  }
}
