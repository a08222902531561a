// Runs the net-mux decoder over chunks and shows what came out in a form that compares.
import { AnyTlsError } from '../../../src/errors.ts'
import { makeFrameDecoder } from '../../../src/wires/netmux/frame-decoder.ts'
import type { FrameReader } from '../../../src/codec/frame-reader.ts'
import type { Frame } from '../../../src/wires/netmux/frame.ts'
import { joined, shown as shownOne } from '../decoding.ts'

export interface Decoded {
  /** Frames, adjacent pieces of one payload joined, payload as hex. */
  readonly frames: readonly unknown[]
  /** The code of the violation that ended it, and its message. */
  readonly violation: { readonly code: string; readonly message: string } | undefined
}

/** All that the chunks hold. */
export function decode(
  chunks: readonly Uint8Array[],
  decoder: FrameReader<Frame> = makeFrameDecoder(65_536),
): Decoded {
  const frames: Frame[] = []
  try {
    for (const chunk of chunks) {
      decoder.push(chunk)
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        frames.push(frame)
      }
    }
  } catch (error) {
    if (!(error instanceof AnyTlsError)) throw error
    return { frames: shown(frames), violation: { code: error.code, message: error.message } }
  }
  return { frames: shown(frames), violation: undefined }
}

/** Frames in the form of {@link Decoded}. */
export function shown(frames: readonly Frame[]): unknown[] {
  return joined(frames).map(shownOne)
}
