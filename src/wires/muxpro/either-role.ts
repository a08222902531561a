// What the client and the server of Mux.Pro have in common: the frames of either end, credit, KeepAlive. The roles
// stand in client.ts and server.ts.
import { AnyTlsError, violation } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { Connection } from '../../engine/connection.ts'
import type { Role } from '../../engine/role.ts'
import type { StreamFrames, StreamRules } from '../../engine/streams.ts'
import type { LivenessTimeouts, StreamTimeouts } from '../../engine/timeouts.ts'
import type { ConnectionConfig, Timeouts } from './config.ts'
import { makeFrameDecoder } from './frame-decoder.ts'
import {
  encodeCreditUpdate,
  encodeDataHead,
  encodeEnd,
  encodeKeep,
  encodeKeepAlive,
} from './frame-encoder.ts'
import { INITIAL_CREDIT, MAX_EXTRA_DATA } from './frame.ts'
import type { Frame } from './frame.ts'
import type { Input } from './state-tables.ts'

const NO_MUXPRO = 'the peer did not negotiate as Mux.Pro'

export type RoleFrame = Extract<Frame, { type: 'negotiate' | 'new' | 'new-unusable' }>

/** Whether the peer has sent a KeepAlive, so that its silence means something. */
export interface Habits {
  keepsAlive: boolean
}

export function streamRules(role: Pick<StreamRules, 'sendWindow' | 'finish'>): StreamRules {
  return {
    ...role,
    halfClose: false,
    flowControlled: true,
    receiveWindow: INITIAL_CREDIT,
    openWindow: false,
    expectsAnswer: false,
    acceptsFirst: false,
    fault: 'stream',
    // Ids wrap, so a frame that raced the end of its sub-connection looks like one for none.
    isKnown: () => true,
  }
}

export const STREAM_FRAMES: StreamFrames = {
  // The draft has no frame for it; a Keep without data is legal and means "established" (section 6.3.3).
  accept: (channel, { id }) => channel.send(encodeKeep(id)),
  data: (channel, { id }, parts, bytes) => channel.deliver([encodeDataHead(id, bytes), ...parts]),
  credit: (channel, { id }, bytes) => channel.send(encodeCreditUpdate(id, bytes)),
  reset: (channel, id, code) => channel.send(encodeEnd(id, code)),
}

/** This wire has no answer to a KeepAlive and none to a New: its own timers stand in {@link roleBase}. */
function timeoutsOf({ stream, linger, keepalive }: Timeouts): LivenessTimeouts & StreamTimeouts {
  return {
    stream,
    linger,
    keepalive,
    connection: Infinity,
    ping: Infinity,
    streamOpen: Infinity,
  }
}

/** What is the same in both roles. */
export function roleBase({ timeouts }: ConnectionConfig, habits: Habits) {
  const keepaliveDue = ({ liveness }: Connection<Input>): number =>
    liveness.lastSent + timeouts.keepalive
  const silenceDue = ({ liveness, streams, now }: Connection<Input>): number =>
    !habits.keepsAlive && streams.size > 0
      ? Infinity
      : liveness.waitSince(liveness.lastAlive, now) + timeouts.connection

  return {
    wire: 'muxpro',
    maxPayload: MAX_EXTRA_DATA,
    timeouts: timeoutsOf(timeouts),
    liftControl: false,
    pingsIdle: false,
    noAnswer: () => new AnyTlsError('ERR_CONNECTION_LOST', NO_MUXPRO),
    goodbye,
    makeDecoder: (streams) => makeFrameDecoder((stream) => streams.get(stream)?.messages === true),
    idleLimit: () => Infinity,

    violation(connection, error) {
      const { negotiated } = connection
      if (!connection.tryMove('violation')) return
      const exhausted = error.code === 'ERR_TOO_MANY_RESETS'
      goodbye(connection, exhausted ? CloseCode.ResourceExhausted : CloseCode.ProtocolError)
      connection.closed(negotiated ? error : violation(`${NO_MUXPRO}: ${error.message}`))
    },

    deadline: (connection) =>
      connection.negotiated
        ? Math.min(keepaliveDue(connection), silenceDue(connection))
        : connection.started + timeouts.nego,

    onDue(connection) {
      if (!connection.negotiated) {
        connection.move('nego-timeout')
        connection.closed(new AnyTlsError('ERR_CONNECTION_TIMEOUT', NO_MUXPRO))
      } else if (connection.now >= silenceDue(connection)) {
        connection.move('idle-timeout')
        goodbye(connection, CloseCode.Timeout)
        connection.closed(new AnyTlsError('ERR_CONNECTION_TIMEOUT'))
      } else {
        connection.channel.send(encodeKeepAlive())
      }
    },
  } satisfies Partial<Role<Frame, Input>>
}

/** There is no frame for it, so each sub-connection ends; what was cut off must not look complete. */
function goodbye({ streams }: Connection<Input>, code: CloseCode): void {
  const reason = code === CloseCode.Graceful ? CloseCode.RemoteDisconnect : code
  for (const { id } of streams.list()) streams.refuse(id, reason, '')
}

/** Handles a frame of either role, or returns one of the one role; the table has let it pass. */
export function handleEither(
  connection: Connection<Input>,
  habits: Habits,
  frame: Frame,
): RoleFrame | undefined {
  const { streams } = connection
  if (frame.type === 'data') {
    streams.onData(frame.stream, frame.data)
    return undefined
  }
  connection.move(frame.type === 'new-unusable' ? 'new' : frame.type)
  switch (frame.type) {
    case 'keep':
      streams.onAnswer(frame.stream)
      return undefined
    case 'end':
      if (frame.code === CloseCode.Graceful) streams.onComplete(frame.stream)
      else streams.onReset(frame.stream, frame.code, '')
      return undefined
    case 'keep-alive':
      habits.keepsAlive = true
      return undefined
    case 'credit':
      streams.onCredit(frame.stream, frame.increment)
      return undefined
    default:
      return frame
  }
}
