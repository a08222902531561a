// The server of Mux.Pro: answers the negotiation, takes sub-connections (section 5.2; D36, D40, D41).
// Must never send a New.
import { AnyTlsError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { Connection } from '../../engine/connection.ts'
import { Engine } from '../../engine/engine.ts'
import type { Machine, StreamRequest } from '../../engine/machine.ts'
import type { Role } from '../../engine/role.ts'
import type { Streams } from '../../engine/streams.ts'
import type { ServerConfig } from './config.ts'
import { STREAM_FRAMES, handleEither, roleBase, streamRules } from './either-role.ts'
import type { Habits } from './either-role.ts'
import { encodeNegotiate } from './frame-encoder.ts'
import { INITIAL_CREDIT } from './frame.ts'
import type { CountPlace, Frame } from './frame.ts'
import { SERVER_TABLE } from './state-tables.ts'
import type { Input } from './state-tables.ts'
import { chooseVersion, formatVersion } from './version.ts'

export function muxProServerMachine(config: ServerConfig, now: number): Machine {
  return new Engine(serverRole(config), now)
}

export function serverRole(config: ServerConfig): Role<Frame, Input> {
  const habits: Habits = { keepsAlive: false }

  function onNegotiate(
    connection: Connection<Input>,
    versions: readonly number[],
    countPlace: CountPlace,
  ): void {
    const version = chooseVersion(versions)
    if (version === undefined) {
      connection.move('version-unsupported')
      connection.closed(new AnyTlsError('ERR_VERSION_UNSUPPORTED'))
      return
    }
    connection.channel.send(encodeNegotiate([version], countPlace))
    connection.channel.emit({ type: 'established', peer: formatVersion(version) })
  }

  function onNew(connection: Connection<Input>, id: number, request: StreamRequest): void {
    if (!isFree(connection.streams, id)) return
    const priority = Math.max(request.priority, config.firstPriority)
    connection.admit(id, config.maxStreams, { ...request, priority })
  }

  return {
    ...roleBase(config, habits),
    table: SERVER_TABLE,
    mute: ['await-version'],
    rules: streamRules({ sendWindow: INITIAL_CREDIT, finish: 'closes' }),
    frames: STREAM_FRAMES,

    handle(connection, frame) {
      const ours = handleEither(connection, habits, frame)
      if (ours === undefined) return
      switch (ours.type) {
        case 'negotiate':
          onNegotiate(connection, ours.versions, ours.countPlace)
          break
        case 'new':
          onNew(connection, ours.stream, ours.request)
          break
        case 'new-unusable':
          connection.openings += 1
          if (isFree(connection.streams, ours.stream)) {
            connection.streams.refuse(ours.stream, CloseCode.ProtocolError, ours.problem)
          }
          break
      }
    },
  }
}

/** Whether the id may be used; a sub-connection that has it already ends. */
function isFree(streams: Streams, id: number): boolean {
  const record = streams.get(id)
  if (record === undefined) return true
  streams.fail(record, CloseCode.ProtocolError, `New with the id ${id}, which is in use`)
  return false
}
