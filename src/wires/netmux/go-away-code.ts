// Why a net-mux session ended, as the number in GoAway.
import { CloseCode } from '../../engine/close-code.ts'

/** The codes of GoAway with a name. A peer may send others: they are carried as numbers. */
export const GoAwayCode = {
  /** In order: nothing is wrong. */
  Normal: 0,
  /** The peer broke the protocol. */
  ProtocolError: 1,
  /** Something failed at this end. */
  InternalError: 2,
  /** The peer sent more than it had credit for. */
  FlowControlError: 3,
  /** The peer opened more streams than there may be. */
  StreamLimit: 4,
  /** The peer speaks another version. */
  InvalidVersion: 5,
  /** The peer was silent for too long. */
  Timeout: 6,
} as const

export type GoAwayCode = (typeof GoAwayCode)[keyof typeof GoAwayCode]

const BY_CLOSE_CODE: Readonly<Record<CloseCode, GoAwayCode>> = {
  [CloseCode.Graceful]: GoAwayCode.Normal,
  [CloseCode.RemoteDisconnect]: GoAwayCode.Normal,
  [CloseCode.Timeout]: GoAwayCode.Timeout,
  [CloseCode.ProtocolError]: GoAwayCode.ProtocolError,
  [CloseCode.ResourceExhausted]: GoAwayCode.StreamLimit,
  [CloseCode.DestinationUnreachable]: GoAwayCode.Normal,
  [CloseCode.Rejected]: GoAwayCode.Normal,
  [CloseCode.UnsupportedVersion]: GoAwayCode.InvalidVersion,
}

/** What GoAway says for a close code of the other wires (D21). */
export function goAwayCodeOf(code: CloseCode): GoAwayCode {
  return BY_CLOSE_CODE[code]
}

const NAMES: Readonly<Record<number, string>> = {
  [GoAwayCode.ProtocolError]: 'protocol error',
  [GoAwayCode.InternalError]: 'internal error',
  [GoAwayCode.FlowControlError]: 'flow control error',
  [GoAwayCode.StreamLimit]: 'stream limit',
  [GoAwayCode.InvalidVersion]: 'unsupported version',
  [GoAwayCode.Timeout]: 'timeout',
}

/** The code in words; empty for one without a name. */
export function describeGoAwayCode(code: number): string {
  return NAMES[code] ?? ''
}
