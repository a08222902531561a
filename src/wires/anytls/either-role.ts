// What the client and the server of ANYTLS v1 have in common: control frames, mux1, what happens on a stream as
// frames. The roles stand in client.ts and server.ts.
import { AnyTlsError, PeerCloseError, violation } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { Connection } from '../../engine/connection.ts'
import type { Role } from '../../engine/role.ts'
import type { StreamFrames, StreamRules, Streams } from '../../engine/streams.ts'
import { OPEN_WINDOW } from '../../engine/receive-window.ts'
import { UNLIMITED } from '../../engine/stream-record.ts'
import { decodeTextBlock, toTextBlock } from '../../codec/text-block.ts'
import type { ConnectionConfig } from './config.ts'
import { makeFrameDecoder } from './frame-decoder.ts'
import * as encode from './frame-encoder.ts'
import { MAX_BODY, MAX_PAYLOAD, MAX_RESET_REASON, StreamFlag } from './frame.ts'
import type { Frame } from './frame.ts'
import type { Input } from './state-tables.ts'

/** Whether mux1 is negotiated: shared by a role and its frames. */
export interface Mux1 {
  active: boolean
}

/** Frames that the roles take care of. */
export type RoleFrame = Exclude<
  Frame,
  {
    type:
      | 'padding'
      | 'stream-data'
      | 'stream-rst'
      | 'pingpong'
      | 'alert'
      | 'close'
      | 'stream-credit'
      | 'stream-hold'
      | 'stream-fin'
      | 'stream-reset'
  }
>

/** In what the roles differ. */
type OwnRules = Pick<StreamRules, 'sendWindow' | 'finish'>

function streamRules({ mux1Window }: ConnectionConfig, own: OwnRules): StreamRules {
  return {
    ...own,
    halfClose: false,
    flowControlled: false,
    receiveWindow: mux1Window ?? UNLIMITED,
    openWindow: mux1Window === OPEN_WINDOW,
    expectsAnswer: true,
    acceptsFirst: false,
    fault: 'stream',
    isKnown: (id, lastId) => id <= lastId,
  }
}

/** What is the same in both roles. */
export function roleBase(config: ConnectionConfig, mux1: Mux1, own: OwnRules) {
  const { timeouts, randomInt } = config
  return {
    wire: 'v1',
    maxPayload: MAX_PAYLOAD,
    timeouts,
    randomInt,
    rules: streamRules(config, own),
    frames: streamFrames(mux1),
    liftControl: true,
    pingsIdle: false,
    makeDecoder: makeFrameDecoder,
    ping: sendPing,
    idleLimit: () => timeouts.connection,
  } satisfies Partial<Role<Frame, Input>>
}

function streamFrames(mux1: Mux1): StreamFrames {
  return {
    accept: (channel, { id }) => channel.send(encode.encodeStreamAck(id)),
    data: (channel, { id }, parts, bytes) =>
      channel.deliver([encode.encodeDataHead(id, bytes), ...parts]),
    credit: (channel, { id }, bytes) => channel.send(encode.encodeStreamCredit(id, bytes)),
    hold: (channel, { id }, limit) => channel.send(encode.encodeStreamHold(id, limit)),
    end: (channel, { id }) => channel.send(encode.encodeStreamFin(id)),
    reset(channel, id, code, reason) {
      // RST says "over" and no more; a reason needs mux1.
      const frame =
        mux1.active && code !== CloseCode.Graceful
          ? encode.encodeStreamReset(id, code, toTextBlock(reason, MAX_RESET_REASON))
          : encode.encodeStream(id, StreamFlag.Rst)
      channel.send(frame)
    },
  }
}

/** mux1 holds from here on; `window` is what the peer takes on a new stream, in bytes. */
export function startMux1(mux1: Mux1, streams: Streams, window: number): void {
  mux1.active = true
  streams.halfClose = true
  streams.flowControlled = true
  streams.sendWindow = window
}

function sendPing(connection: Connection<Input>): void {
  connection.channel.send(encode.encodePingPong())
}

export function sendClose(connection: Connection<Input>, code: CloseCode): void {
  connection.channel.send(encode.encodeClose(code))
}

export function sendAlert(connection: Connection<Input>, text: string): void {
  connection.channel.send(encode.encodeAlert(toTextBlock(text, MAX_BODY)))
}

/** Handles a frame of either role, or returns one that only the one role receives; the table has let it pass. */
export function handleEither(
  connection: Connection<Input>,
  mux1: Mux1,
  frame: Frame,
): RoleFrame | undefined {
  const { streams } = connection
  if (frame.type === 'stream-data') {
    streams.onData(frame.stream, frame.data)
    return undefined
  }
  if (frame.type === 'stream-rst') {
    streams.onClose(frame.stream)
    return undefined
  }
  const opens = frame.type === 'stream' && (frame.flags & StreamFlag.Open) !== 0
  connection.move(opens ? 'stream-open' : frame.type)
  switch (frame.type) {
    case 'padding':
      return undefined
    case 'stream':
      if (opens) return frame
      // A frame of the STREAM class is activity, whatever else it brings (D5).
      streams.touch(frame.stream)
      return undefined
    case 'pingpong':
      // D8: with a ping outstanding it is the answer, otherwise it wants exactly one.
      if (!connection.takePong()) sendPing(connection)
      return undefined
    case 'alert':
      connection.closed(
        new AnyTlsError(
          'ERR_ALERT_RECEIVED',
          `the peer sent an alert: ${readText(frame.body).replaceAll('\n', ' ')}`,
        ),
      )
      return undefined
    case 'close':
      connection.closed(errorOfClose(frame.code))
      return undefined
    case 'stream-credit':
      requireMux1(mux1, frame)
      if (frame.increment === 0) {
        throw violation('STREAM_CREDIT of zero')
      }
      streams.onCredit(frame.stream, frame.increment)
      return undefined
    case 'stream-hold':
      requireMux1(mux1, frame)
      streams.onHold(frame.stream, frame.limit)
      return undefined
    case 'stream-fin':
      requireMux1(mux1, frame)
      streams.onEnd(frame.stream)
      return undefined
    case 'stream-reset':
      requireMux1(mux1, frame)
      streams.onReset(frame.stream, frame.code, readText(frame.reason))
      return undefined
    case 'goaway':
      requireMux1(mux1, frame)
      return frame
    default:
      return frame
  }
}

function requireMux1(mux1: Mux1, { type }: Frame): void {
  if (mux1.active) return
  throw violation(`${type} without a negotiated mux1`)
}

function errorOfClose(code: number): AnyTlsError | undefined {
  if (code === CloseCode.UnsupportedVersion) return new AnyTlsError('ERR_VERSION_UNSUPPORTED')
  return code === CloseCode.Graceful ? undefined : new PeerCloseError('ERR_CLOSE_RECEIVED', code)
}

/** A peer's TEXT block in words; one that breaks Appendix B says nothing. */
function readText(block: Uint8Array): string {
  try {
    return decodeTextBlock(block)
  } catch {
    return '(no valid text)'
  }
}
