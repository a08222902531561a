// What the client and the server of the original wire have in common: frames that both ends send, versions. The
// roles stand in client.ts and server.ts.
import { AnyTlsError } from '../../errors.ts'
import type { Connection } from '../../engine/connection.ts'
import type { Role } from '../../engine/role.ts'
import { UNLIMITED } from '../../engine/stream-record.ts'
import type { StreamRules } from '../../engine/streams.ts'
import type { LegacyConfig } from './config.ts'
import { encodeHeartbeatRequest, encodeHeartbeatResponse } from './frame-encoder.ts'
import { MAX_PAYLOAD } from './frame.ts'
import type { Frame } from './frame.ts'
import { readText } from './peer-text.ts'
import type { Input } from './state-tables.ts'

/** Frames that the roles take care of. */
export type RoleFrame = Extract<
  Frame,
  { type: 'auth' | 'syn' | 'settings' | 'update-scheme' | 'synack' | 'server-settings' }
>

/** In what the roles differ. */
type OwnRules = Pick<StreamRules, 'finish' | 'expectsAnswer'>

/** The wire has neither credit nor half-close, and its reference passes over whatever stream id it does not know. */
function streamRules(own: OwnRules): StreamRules {
  return {
    ...own,
    halfClose: false,
    flowControlled: false,
    sendWindow: UNLIMITED,
    receiveWindow: UNLIMITED,
    openWindow: false,
    acceptsFirst: false,
    fault: 'stream',
    isKnown: () => true,
  }
}

/** What is the same in both roles. */
export function roleBase({ timeouts, randomInt }: LegacyConfig, own: OwnRules) {
  return {
    wire: 'legacy',
    maxPayload: MAX_PAYLOAD,
    timeouts,
    randomInt,
    rules: streamRules(own),
    liftControl: false,
    ping: ({ channel }) => channel.send(encodeHeartbeatRequest()),
  } satisfies Partial<Role<Frame, Input>>
}

/** Moves by a frame; false when it is to be passed over: empty ones do not count, as in the reference. */
export function takesEffect(connection: Connection<Input>, frame: Frame): boolean {
  if ('body' in frame && frame.body.length === 0) return false
  if (frame.type !== 'push-data') connection.move(frame.type)
  return true
}

/** Handles a frame of either role, or returns one of the one role; the table has let it pass. */
export function handleEither(connection: Connection<Input>, frame: Frame): RoleFrame | undefined {
  switch (frame.type) {
    case 'push-data':
      connection.streams.onData(frame.stream, frame.data)
      return undefined
    case 'waste':
    case 'unknown':
      return undefined
    case 'push':
      connection.streams.onAnswer(frame.stream)
      return undefined
    case 'fin':
      connection.streams.onClose(frame.stream)
      return undefined
    case 'alert':
      connection.closed(
        new AnyTlsError('ERR_ALERT_RECEIVED', `the peer sent an alert: ${readText(frame.body)}`),
      )
      return undefined
    case 'heartbeat-request':
      connection.channel.send(encodeHeartbeatResponse(frame.stream))
      return undefined
    case 'heartbeat-response':
      connection.takePong()
      return undefined
    default:
      return frame
  }
}
