// The frames of net-mux version 1: their head, types, flags, limits and decoded form.
// Must never hold state or touch bytes: encoding and decoding stand beside it.

/** The protocol version, the first byte of every frame. */
export const NETMUX_VERSION = 1

/** Version, type, flags, stream id, length: 1 + 1 + 2 + 4 + 4 bytes, big endian. */
export const HEAD_LENGTH = 12

/** Frame types. Only Data has a payload; the others carry their one number in the length field. */
export const FrameType = { Data: 0, WindowUpdate: 1, Ping: 2, GoAway: 3 } as const

/**
 * What a Data frame does to its stream, applied in this order, the payload between ACK and FIN. ACK on a
 * Ping makes it an answer. No other bit may be set.
 */
export const Flag = { Syn: 0b0001, Ack: 0b0010, Fin: 0b0100, Rst: 0b1000 } as const

/** Every bit that has a meaning. */
export const ALL_FLAGS = 0b1111

/** Largest stream id, credit and number of any kind: the fields are unsigned and have 32 bits. */
export const MAX_UINT32 = 0xffff_ffff

/**
 * A frame as the decoder hands it out. A Data frame comes as its head, then its payload in pieces as they
 * arrive, then `data-end` where FIN or RST was set.
 */
export type Frame =
  | { readonly type: 'data'; readonly stream: number; readonly flags: number }
  | { readonly type: 'payload'; readonly stream: number; readonly data: Uint8Array }
  | { readonly type: 'data-end'; readonly stream: number; readonly flags: number }
  | { readonly type: 'window-update'; readonly stream: number; readonly increment: number }
  | { readonly type: 'ping'; readonly isAnswer: boolean; readonly value: number }
  | { readonly type: 'goaway'; readonly code: number }
