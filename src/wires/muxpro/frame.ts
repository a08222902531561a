// The frames of Mux.Pro 0.0 (section 6): states, option bits, limits and the decoded form.
// Must never hold state or touch bytes: encoding and decoding stand beside it.
import type { StreamRequest } from '../../engine/machine.ts'

/** What a frame is for (section 6.1). */
export const FrameState = {
  NegotiateVersion: 0x00,
  New: 0x01,
  Keep: 0x02,
  End: 0x03,
  KeepAlive: 0x04,
  CreditUpdate: 0x05,
} as const

/** Data Present, the only option bit that there is. On End it announces the code instead (D38). */
export const OPT_DATA = 0x01

/** Id, state and options: what every metadata block begins with, in bytes (D37). */
export const METADATA_HEAD = 4

/** Most bytes of metadata that are waited for (D40). */
export const MAX_METADATA = 512

/** Most bytes of one Extra Data block, and so of one datagram. */
export const MAX_EXTRA_DATA = 65_535

/** The largest id of a sub-connection; 0 is the main connection (D43). */
export const MAX_STREAM_ID = 65_535

/** What an end may send on a sub-connection before it is told more, in bytes (D39). */
export const INITIAL_CREDIT = 65_536

/** Where the version count of NegotiateVersion stands: in the draft's place, or before the list (D36). */
export type CountPlace = 'metadata' | 'extra-data'

/**
 * A frame as the decoder hands it out. New and Keep come as their head, then their data: in pieces as they
 * arrive, or whole on a sub-connection that carries datagrams.
 */
export type Frame =
  | {
      readonly type: 'negotiate'
      readonly versions: readonly number[]
      readonly countPlace: CountPlace
    }
  | { readonly type: 'new'; readonly stream: number; readonly request: StreamRequest }
  /** A New whose length is right and whose target nobody could reach. */
  | { readonly type: 'new-unusable'; readonly stream: number; readonly problem: string }
  | { readonly type: 'keep'; readonly stream: number }
  | { readonly type: 'data'; readonly stream: number; readonly data: Uint8Array }
  | { readonly type: 'end'; readonly stream: number; readonly code: number }
  | { readonly type: 'keep-alive' }
  | { readonly type: 'credit'; readonly stream: number; readonly increment: number }
