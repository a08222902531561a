// What every wire offers to the session that drives it: bytes in, events out, time as an argument.
import type { AnyTlsError } from '../errors.ts'
import type { Scheme } from '../shaping/scheme.ts'
import type { Address } from '../codec/address.ts'
import type { CloseCode } from './close-code.ts'

/** The wires that there are machines for. */
export type Wire = 'v1' | 'legacy' | 'muxpro' | 'netmux'

/** What a stream is asked for with, where the wire itself carries it (Mux.Pro). */
export interface StreamRequest {
  /** With `udp` each data frame is one datagram. */
  readonly network: 'tcp' | 'udp'
  /** Where the server is to connect to, or to send datagrams. */
  readonly target: Address
  /** 0 is served first, 255 last. */
  readonly priority: number
}

/**
 * What a machine tells its session. Events come in the order in which the peer caused them. Bytes in them are lent:
 * valid until the events of that call have been handled (D46).
 */
export type MachineEvent =
  /** Negotiation is over. `peer` is the other end's name for itself: text from the wire. */
  | { readonly type: 'established'; readonly peer: string }
  /** The peer opened a stream. */
  | {
      readonly type: 'open'
      readonly stream: number
      /** What it is for, on a wire that says so. */
      readonly request?: StreamRequest
    }
  /** The peer accepted a stream that this end opened. */
  | { readonly type: 'accept'; readonly stream: number }
  /** Stream data: a view of the bytes that were received, never empty. */
  | { readonly type: 'data'; readonly stream: number; readonly data: Uint8Array }
  /** The peer will send no more data on the stream; the other direction stays open. */
  | { readonly type: 'end'; readonly stream: number }
  /** The stream is over in both directions and forgotten. Without an error: ended in order. */
  | { readonly type: 'close'; readonly stream: number; readonly error: AnyTlsError | undefined }
  /** The stream may send again after it had used up its credit. */
  | { readonly type: 'credit'; readonly stream: number }
  /** The peer told which padding scheme to use on later connections. */
  | { readonly type: 'scheme'; readonly scheme: Scheme }
  /** The peer sent a padding scheme that cannot be used; the old one stays. */
  | { readonly type: 'scheme-refused'; readonly error: AnyTlsError }
  /** A ping of ours was answered after `roundTrip` milliseconds. */
  | { readonly type: 'pong'; readonly roundTrip: number }
  /** No new streams may be opened; those that stand go on. */
  | { readonly type: 'draining' }
  /** This is not (any longer) a connection of ours: `unread` is what the next owner must see. */
  | { readonly type: 'handover'; readonly handover: Handover }
  /** The connection is over: write what is still to be written, then end. Always the last event. */
  | { readonly type: 'closed'; readonly error: AnyTlsError | undefined }

/** Why a connection goes to another owner, and the bytes that it has not seen yet. */
export interface Handover {
  readonly cause: 'auth-failed' | 'auth-timeout' | 'violation'
  readonly unread: readonly Uint8Array[]
  readonly error: AnyTlsError | undefined
}

/** Most frames, or pieces of frames, that one call of {@link Machine.receive} handles. */
export const MAX_FRAMES_PER_CALL = 512

/** Most openings of streams that one call of {@link Machine.receive} handles. */
export const MAX_OPENINGS_PER_CALL = 16

/**
 * One unit of output, in order. A shaped Write has exactly one part and must leave as one record and
 * one flush of its own (D33); the parts of an unshaped one may be joined and split at will.
 */
export interface Write {
  readonly parts: readonly Uint8Array[]
  readonly bytes: number
  readonly shaped: boolean
}

/**
 * One end of one connection. Calls that take `now` want milliseconds of one monotonic clock.
 * After each call the driver takes {@link Machine.takeWrites} and looks at {@link Machine.deadline}.
 */
export interface Machine {
  readonly wire: Wire
  /**
   * Takes bytes from the peer and handles a bounded part of them: at most {@link MAX_FRAMES_PER_CALL} frames or
   * pieces of frames and {@link MAX_OPENINGS_PER_CALL} openings of streams (D47). With {@link hasMore} it is to be
   * called again, with an empty chunk. But for the views in its events the machine keeps nothing of `chunk`, which is
   * lent. Never throws: bad bytes become events.
   */
  receive(chunk: Uint8Array, now: number): readonly MachineEvent[]
  /** Bytes that were received wait to be handled by another {@link receive}. */
  readonly hasMore: boolean
  /**
   * The peer will send no more bytes. What still waits ({@link hasMore}) is handled first, all of it at once: who
   * wants turns bounded calls {@link receive} until nothing is left.
   */
  endOfInput(now: number): readonly MachineEvent[]
  /** To be called once `now` has reached {@link deadline}. */
  timeout(now: number): readonly MachineEvent[]
  /** When {@link timeout} must be called next; `Infinity` for never. */
  readonly deadline: number

  /** Whether {@link openStream} would succeed. */
  readonly mayOpen: boolean
  /** Whether a stream's credit bounds what the peer may send, so that reading may always go on. */
  readonly flowControlled: boolean
  /** Whether the next Deliver will be shaped: then every application write is a Frame of its own. */
  readonly shaping: boolean
  /** Most bytes of payload that one data frame carries. */
  readonly maxPayload: number
  /** When the peer was last known to be there. */
  readonly lastAlive: number
  /** Whether the peer would answer a ping now, so that {@link ping} is of use. */
  readonly pingable: boolean

  /**
   * Opens a stream and returns its id. Throws AnyTlsError when {@link mayOpen} is false, or when the wire
   * carries a request and there is none.
   */
  openStream(now: number, request?: StreamRequest): number
  /** Tells the peer that its stream is accepted. */
  acceptStream(stream: number, now: number): void
  /** How many bytes the stream may send now. */
  credit(stream: number): number
  /** Sends `bytes` bytes of stream data, at most {@link credit} and {@link maxPayload}. */
  sendData(stream: number, parts: readonly Uint8Array[], bytes: number, now: number): void
  /** This end will send no more data on the stream. */
  finishStream(stream: number, now: number): readonly MachineEvent[]
  /** Ends the stream in both directions, at once; no `close` event follows. */
  resetStream(stream: number, code: CloseCode, reason: string, now: number): readonly MachineEvent[]
  /** The application has consumed that many bytes of the stream's data. */
  consumed(stream: number, bytes: number, now: number): void

  /** Asks the peer for a sign of life; false when a ping is already under way. */
  ping(now: number): boolean
  /** No new streams; `closed` follows when the last stream has ended. */
  close(now: number): readonly MachineEvent[]
  /** Ends the connection at once, telling the peer `code`, or a `reason` where the wire has words for it. */
  abort(code: CloseCode, now: number, reason?: string): readonly MachineEvent[]
  /** Reading from the peer was stopped or goes on: while it is stopped, silence means nothing. */
  setReading(reading: boolean, now: number): void
  /** The peer takes what we send: as good a sign of life as a frame from it. */
  progress(now: number): void

  /** Takes everything that is to be written, in order: nothing once the connection has another owner. */
  takeWrites(): readonly Write[]
}
