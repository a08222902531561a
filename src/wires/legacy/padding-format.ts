// Waste frames as the shaper asks for them, with the quirks of the original: nothing is added where a
// head and one byte do not fit, and a Write of padding alone is a head longer than its target.
// Must never "repair" these sizes: they are what other clients of this wire look like.
import type { PaddingFormat } from '../../shaping/shaper.ts'
import { encodeWaste } from './frame-encoder.ts'
import { HEAD_LENGTH } from './frame.ts'

export const PADDING_FORMAT: PaddingFormat = {
  fill: (bytes) => (bytes > HEAD_LENGTH ? encodeWaste(bytes - HEAD_LENGTH) : undefined),
  alone: encodeWaste,
}
