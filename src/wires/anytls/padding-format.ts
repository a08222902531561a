// PADDING frames as the shaper asks for them, on the ANYTLS v1 wire (D22, D32).
// Must never make a frame of another length than it was asked for.
import type { PaddingFormat } from '../../shaping/shaper.ts'
import { encodePadding } from './frame-encoder.ts'

export const PADDING_FORMAT: PaddingFormat = { fill: encodePadding, alone: encodePadding }
