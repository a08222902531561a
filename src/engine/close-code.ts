// Why a stream or a connection ended, as a number on the wire (D21).
// This file must never import from another folder.

/** The close codes with a name. A peer may send others: they are carried as numbers. */
export const CloseCode = {
  Graceful: 0,
  RemoteDisconnect: 1,
  Timeout: 2,
  ProtocolError: 3,
  ResourceExhausted: 4,
  DestinationUnreachable: 5,
  Rejected: 6,
  UnsupportedVersion: 7,
} as const

export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode]
