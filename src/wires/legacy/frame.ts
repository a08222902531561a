// The frames of the original AnyTLS wire, protocol version 2: commands, caps and decoded form.
// Must never hold state or touch bytes: encoding and decoding stand beside it.
import { PASSWORD_HASH_LENGTH } from '../../codec/same-bytes.ts'

/** Commands, the first byte of a frame. */
export const Command = {
  Waste: 0,
  Syn: 1,
  Push: 2,
  Fin: 3,
  Settings: 4,
  Alert: 5,
  UpdateScheme: 6,
  SynAck: 7,
  HeartbeatRequest: 8,
  HeartbeatResponse: 9,
  ServerSettings: 10,
} as const

/** Head of a frame in bytes: command u8, stream id u32, length u16, all big endian. */
export const HEAD_LENGTH = 7

/** Most bytes of payload in a PSH frame that we send: with its head it fills four TLS records exactly. */
export const MAX_PAYLOAD = 4 * 16_384 - HEAD_LENGTH

/** Highest stream id: what the u32 holds. */
export const MAX_STREAM_ID = 0xffff_ffff

/** The authentication block without its padding, in bytes: hash, padding length u16. */
export const AUTH_HEAD_LENGTH = PASSWORD_HASH_LENGTH + 2

/**
 * A frame as the decoder hands it out. PSH comes as its head, then its data in pieces as they arrive.
 * The data of frames that should have none, and of unknown commands, is skipped.
 */
export type Frame =
  /** The authentication block, complete with its padding. */
  | { readonly type: 'auth'; readonly passwordHash: Uint8Array; readonly padding: number }
  | { readonly type: 'waste'; readonly length: number }
  | { readonly type: 'syn'; readonly stream: number }
  | { readonly type: 'push'; readonly stream: number; readonly length: number }
  | { readonly type: 'push-data'; readonly stream: number; readonly data: Uint8Array }
  | { readonly type: 'fin'; readonly stream: number }
  | { readonly type: 'settings'; readonly body: Uint8Array }
  | { readonly type: 'alert'; readonly body: Uint8Array }
  | { readonly type: 'update-scheme'; readonly body: Uint8Array }
  /** `reason` is empty when the stream is opened, otherwise why it is not. */
  | { readonly type: 'synack'; readonly stream: number; readonly reason: Uint8Array }
  | { readonly type: 'heartbeat-request'; readonly stream: number }
  | { readonly type: 'heartbeat-response'; readonly stream: number }
  | { readonly type: 'server-settings'; readonly body: Uint8Array }
  | { readonly type: 'unknown'; readonly command: number; readonly length: number }
