// The client of Mux.Pro: NegotiateVersion first, then sub-connections (section 5.1; D36, D43, D50).
// Must never send another frame before the server has answered the negotiation.
import { AnyTlsError, invalidOption, violation } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { Connection } from '../../engine/connection.ts'
import { Engine } from '../../engine/engine.ts'
import type { Machine } from '../../engine/machine.ts'
import type { Role } from '../../engine/role.ts'
import type { StreamRecord } from '../../engine/stream-record.ts'
import type { Streams } from '../../engine/streams.ts'
import type { ClientConfig } from './config.ts'
import { STREAM_FRAMES, handleEither, roleBase, streamRules } from './either-role.ts'
import type { Habits } from './either-role.ts'
import { encodeNegotiate, encodeNew, withInitialData } from './frame-encoder.ts'
import { INITIAL_CREDIT, MAX_STREAM_ID } from './frame.ts'
import type { Frame } from './frame.ts'
import { CLIENT_TABLE } from './state-tables.ts'
import type { Input } from './state-tables.ts'
import { SUPPORTED_VERSIONS, formatVersion } from './version.ts'

export function muxProClientMachine(config: ClientConfig, now: number): Machine {
  return new Engine(clientRole(config), now)
}

export function clientRole(config: ClientConfig): Role<Frame, Input> {
  const habits: Habits = { keepsAlive: false }
  /** New frames that wait for the first data of their sub-connection, to carry it along (section 6.3.2). */
  const held = new Map<number, { readonly record: StreamRecord; readonly frame: Uint8Array }>()

  /** Takes the New of a sub-connection out; `undefined` when it has left. */
  function takeHeld(id: number): Uint8Array | undefined {
    const opening = held.get(id)
    held.delete(id)
    return opening?.frame
  }

  function onNegotiate(connection: Connection<Input>, versions: readonly number[]): void {
    const [version, ...more] = versions
    if (version === undefined || more.length > 0) {
      throw violation(`an answer with ${versions.length} versions instead of one`)
    }
    if (!SUPPORTED_VERSIONS.includes(version)) {
      connection.move('version-unsupported')
      connection.closed(new AnyTlsError('ERR_VERSION_UNSUPPORTED'))
      return
    }
    const { channel, streams } = connection
    channel.emit({ type: 'established', peer: formatVersion(version) })
    streams.sendWindow = INITIAL_CREDIT
    for (const record of streams.list()) {
      if (record.grant(INITIAL_CREDIT)) channel.emit({ type: 'credit', stream: record.id })
    }
  }

  return {
    ...roleBase(config, habits),
    table: CLIENT_TABLE,
    mute: ['negotiating', 'draining-early'],
    // Nothing may be sent before the answer. End would cut off the server's answer too.
    rules: streamRules({ sendWindow: 0, finish: 'lingers' }),
    frames: {
      ...STREAM_FRAMES,
      data(channel, record, parts, bytes) {
        const opening = takeHeld(record.id)
        if (opening === undefined) STREAM_FRAMES.data(channel, record, parts, bytes)
        else channel.deliver([withInitialData(opening, bytes), ...parts])
      },
      // The server knows nothing of a sub-connection whose New has not left.
      reset(channel, id, code, reason, record) {
        if (takeHeld(id) === undefined) STREAM_FRAMES.reset(channel, id, code, reason, record)
      },
    },

    begin({ channel }) {
      channel.send(encodeNegotiate(SUPPORTED_VERSIONS, config.countPlace))
    },

    handle(connection, frame) {
      const { streams } = connection
      // D50: the server's End is answered once, when it ends something.
      const ends = frame.type === 'end' && streams.has(frame.stream)
      const ours = handleEither(connection, habits, frame)
      if (ends) streams.refuse(frame.stream, CloseCode.Graceful, '')
      if (ours === undefined) return
      if (ours.type !== 'negotiate') {
        throw violation(`${ours.type} from a server`)
      }
      onNegotiate(connection, ours.versions)
    },

    mayOpen({ state, streams }) {
      const open = state === 'negotiating' || state === 'open'
      return open && streams.size < config.maxStreams
    },

    open({ streams }, request) {
      if (request === undefined) {
        throw invalidOption('a Mux.Pro stream needs a target')
      }
      const id = freeId(streams)
      const frame = encodeNew(id, request)
      streams.lastId = id
      const record = streams.add(id, true)
      record.messages = request.network === 'udp'
      held.set(id, { record, frame })
      return id
    },

    beforeWrites({ negotiated, channel, streams }) {
      if (!negotiated || held.size === 0) return
      const openings = [...held.values()]
      held.clear()
      for (const { record, frame } of openings) {
        // Not of a sub-connection that is gone.
        if (streams.get(record.id) === record) channel.send(frame)
      }
    },
  }
}

/** Upward, wrapping, skipping 0 and what is in use (D43); there is one, as there is room for a stream. */
function freeId(streams: Streams): number {
  let id = streams.lastId
  do {
    id = id === MAX_STREAM_ID ? 1 : id + 1
  } while (streams.has(id))
  return id
}
