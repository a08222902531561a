// The frames of ANYTLS v1 (draft, Frames) and of mux1: their types, flags, caps and decoded form.
// Must never hold state or touch bytes: encoding and decoding stand beside it.

/** Frame types. STREAM is a class of eight types, 0x08 to 0x0F (D1). */
export const FrameType = {
  Auth: 0x00,
  Alert: 0x01,
  Close: 0x02,
  ClientNego: 0x03,
  ServerNego: 0x04,
  Padding: 0x05,
  SchemeUpdate: 0x06,
  PingPong: 0x07,
  Stream: 0x08,
  StreamAck: 0x10,
  StreamCredit: 0x11,
  StreamFin: 0x12,
  StreamReset: 0x13,
  GoAway: 0x14,
  // 0x15 to 0x18 are what others' test vectors have for unknown types.
  StreamHold: 0x19,
} as const

/** The low three bits of a STREAM frame's type, applied in the order OPEN, DATA, RST (D5). */
export const StreamFlag = { Rst: 0b001, Data: 0b010, Open: 0b100 } as const

/** Most bytes of a NEGO, PADDING_UPDATE_SCHEME or ALERT body, and of AUTH padding (D10). */
export const MAX_BODY = 65_535

/**
 * Most bytes of payload in a DATA frame that we send. 65,535 are permitted (D10); with this many a frame and its
 * head fill four TLS records and no fifth one.
 */
export const MAX_PAYLOAD = 65_520

/** Most bytes of the reason in a STREAM_RESET (mux1). */
export const MAX_RESET_REASON = 1_024

/**
 * A frame as the decoder hands it out. A STREAM frame comes as its head, then its data in pieces as
 * they arrive, then `stream-rst` where RST was set; padding is counted, never kept.
 */
export type Frame =
  | { readonly type: 'auth'; readonly passwordHash: Uint8Array; readonly padding: number }
  | { readonly type: 'alert'; readonly body: Uint8Array }
  | { readonly type: 'close'; readonly code: number }
  | { readonly type: 'client-nego'; readonly body: Uint8Array }
  | { readonly type: 'server-nego'; readonly body: Uint8Array }
  | { readonly type: 'padding'; readonly length: number }
  | { readonly type: 'scheme-update'; readonly body: Uint8Array }
  | { readonly type: 'pingpong' }
  | { readonly type: 'stream'; readonly stream: number; readonly flags: number }
  | { readonly type: 'stream-data'; readonly stream: number; readonly data: Uint8Array }
  | { readonly type: 'stream-rst'; readonly stream: number }
  | { readonly type: 'stream-ack'; readonly stream: number }
  | { readonly type: 'stream-credit'; readonly stream: number; readonly increment: number }
  | { readonly type: 'stream-hold'; readonly stream: number; readonly limit: number }
  | { readonly type: 'stream-fin'; readonly stream: number }
  | {
      readonly type: 'stream-reset'
      readonly stream: number
      readonly code: number
      readonly reason: Uint8Array
    }
  | { readonly type: 'goaway'; readonly lastStream: number; readonly code: number }
