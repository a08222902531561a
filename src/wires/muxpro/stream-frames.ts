// What happens on a sub-connection, as frames of Mux.Pro.
// Must never decide anything but how a thing is said.
import type { StreamFrames } from '../../engine/streams.ts'
import { encodeCreditUpdate, encodeDataHead, encodeEnd, encodeKeep } from './frame-encoder.ts'

/** @param deliver writes one frame, in parts */
export function makeStreamFrames(deliver: (parts: readonly Uint8Array[]) => void): StreamFrames {
  return {
    // The draft has no frame for it; a Keep without data is legal and means "established" (section 6.3.3).
    accept: ({ id }) => deliver([encodeKeep(id)]),
    data: ({ id }, parts, bytes) => deliver([encodeDataHead(id, bytes), ...parts]),
    credit: ({ id }, bytes) => deliver([encodeCreditUpdate(id, bytes)]),
    // Never asked for: no half-close on this wire.
    end: () => {},
    reset: (id, code) => deliver([encodeEnd(id, code)]),
  }
}
