// Why a stream or a connection ended, as a number on the wire (D21).
// This file must never import from another folder.

/** The close codes with a name. A peer may send others: they are carried as numbers. */
export const CloseCode = {
  /** In order: nothing is wrong. */
  Graceful: 0,
  /** The connection behind the stream is gone, or its owner gave up before all was said. */
  RemoteDisconnect: 1,
  /** Something took too long. */
  Timeout: 2,
  /** The peer broke the protocol. */
  ProtocolError: 3,
  /** There is too much of something already: streams, memory. */
  ResourceExhausted: 4,
  /** The target could not be reached. */
  DestinationUnreachable: 5,
  /** The target, or the stream, is not allowed. */
  Rejected: 6,
  /** There is no version that both ends speak. */
  UnsupportedVersion: 7,
} as const

export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode]
