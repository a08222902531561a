// The client of ANYTLS v1: Deliver 0, optimistic streams, the server's NEGO (draft, Authentication, Version
// Negotiation and Padding Scheme Update; D25 to D29).
// Must never wait for the server before it sends, or change the scheme of a connection that runs.
import { AnyTlsError, authRejected, violation } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { Connection } from '../../engine/connection.ts'
import { Engine } from '../../engine/engine.ts'
import type { Machine } from '../../engine/machine.ts'
import type { Role } from '../../engine/role.ts'
import { UNLIMITED } from '../../engine/stream-record.ts'
import { parsePeerScheme } from '../../shaping/scheme.ts'
import { concatBytes } from '../../codec/bytes.ts'
import type { ConnectionConfig } from './config.ts'
import { handleEither, roleBase, sendAlert, sendClose, startMux1 } from './either-role.ts'
import type { Mux1 } from './either-role.ts'
import {
  PADDING_FORMAT,
  encodeAuth,
  encodeClientNego,
  encodeGoAway,
  encodeStream,
} from './frame-encoder.ts'
import { StreamFlag } from './frame.ts'
import type { Frame } from './frame.ts'
import {
  SUPPORTED_VERSIONS,
  decodeServerNegoBlock,
  encodeClientNegoBlock,
  firstFlight,
} from './nego.ts'
import { CLIENT_TABLE } from './state-tables.ts'
import type { Input } from './state-tables.ts'

const NO_FRAME = new Uint8Array(0)

const NO_NEGO = 'the server did not answer as ANYTLS (wrong password, or another kind of server)'

// D27: number arithmetic ends there; never reached in practice.
const MAX_STREAM_ID = Number.MAX_SAFE_INTEGER - 1

export function anyTlsClient(config: ConnectionConfig, now: number): Machine {
  return new Engine(clientRole(config), now)
}

export function clientRole(config: ConnectionConfig): Role<Frame, Input> {
  const { timeouts } = config
  const mux1: Mux1 = { active: false }
  let flushed = Infinity
  let schemeUpdated = false
  let answeredGoAway = false

  /** Deliver 0: AUTH, NEGO and, if a stream is waiting, its OPEN, in one Write (D28). */
  function flush(connection: Connection<Input>, open: Uint8Array): void {
    connection.move('flush')
    flushed = connection.now
    const { passwordHash, scheme, name, randomInt, mux1Window } = config
    const shaper = connection.channel.startShaping(scheme, randomInt, PADDING_FORMAT)
    const nego = encodeClientNegoBlock({
      versions: SUPPORTED_VERSIONS,
      client: name,
      schemeDigest: scheme.digest,
      mux1Window,
    })
    const auth = encodeAuth(passwordHash, shaper.authPadding())
    connection.channel.send(concatBytes([auth, encodeClientNego(nego), open]))
  }

  function onServerNego(connection: Connection<Input>, body: Uint8Array): void {
    const { channel, streams } = connection
    const nego = decodeServerNegoBlock(body)
    if (!SUPPORTED_VERSIONS.includes(nego.version)) {
      connection.move('version-unsupported')
      sendClose(connection, CloseCode.UnsupportedVersion)
      connection.closed(new AnyTlsError('ERR_VERSION_UNSUPPORTED'))
      return
    }
    const offered = config.mux1Window !== undefined
    const window = (offered ? nego.mux1Window : undefined) ?? UNLIMITED
    const more = window - streams.sendWindow
    if (offered && nego.mux1Window !== undefined) startMux1(mux1, streams, window)
    else streams.sendWindow = UNLIMITED
    channel.emit({ type: 'established', peer: nego.server })
    for (const record of streams.list()) {
      if (record.grant(more)) channel.emit({ type: 'credit', stream: record.id })
      // An end that came before it was known how to say so.
      if (record.sendEnded) streams.sendFinish(record)
    }
  }

  function onSchemeUpdate(connection: Connection<Input>, body: Uint8Array): void {
    // Its place is right behind the server's NEGO: a server has no reason to send another, and reading
    // one is not cheap.
    if (schemeUpdated) {
      throw violation('PADDING_UPDATE_SCHEME twice')
    }
    schemeUpdated = true
    connection.channel.learn(() => parsePeerScheme(body))
  }

  /** Streams above `lastStream` never reached the server; the table has moved on to draining. */
  function onGoAway(connection: Connection<Input>, lastStream: number): void {
    const { channel, streams } = connection
    if (!answeredGoAway) {
      answeredGoAway = true
      channel.send(encodeGoAway(streams.lastId, CloseCode.Graceful))
    }
    connection.tellDraining()
    for (const record of streams.list()) {
      if (record.id <= lastStream) continue
      streams.end(record, new AnyTlsError('ERR_SESSION_DRAINING'))
    }
  }

  return {
    ...roleBase(config, mux1, {
      // mux1: until the server's NEGO tells more, a stream may send that much.
      sendWindow: config.mux1Window === undefined ? UNLIMITED : firstFlight(config.mux1Window),
      finish: 'lingers',
    }),
    table: CLIENT_TABLE,
    mute: ['initializing'],
    noAnswer: (heard) => authRejected(NO_NEGO, heard),
    goodbye: sendClose,

    handle(connection, frame) {
      const ours = handleEither(connection, mux1, frame)
      if (ours === undefined) return
      if (ours.type === 'server-nego') onServerNego(connection, ours.body)
      else if (ours.type === 'scheme-update') onSchemeUpdate(connection, ours.body)
      else if (ours.type === 'stream-ack') connection.streams.onAnswer(ours.stream)
      else if (ours.type === 'goaway') onGoAway(connection, ours.lastStream)
      else throw violation(`${ours.type} from a server`)
    },

    violation(connection, error) {
      // A server that never negotiated may be anybody: what it must not hear from us is an ALERT.
      const { negotiated } = connection
      if (!connection.tryMove('violation')) return
      if (negotiated) sendAlert(connection, error.message)
      connection.closed(
        negotiated ? error : new AnyTlsError('ERR_AUTH_REJECTED', `${NO_NEGO}: ${error.message}`),
      )
    },

    mayOpen({ state, streams }) {
      const open = state === 'initializing' || state === 'negotiating' || state === 'open'
      return open && streams.size < config.maxStreams && streams.lastId < MAX_STREAM_ID
    },

    open(connection) {
      const { channel, streams } = connection
      streams.lastId += 1
      const id = streams.lastId
      streams.add(id, true)
      const open = encodeStream(id, StreamFlag.Open)
      channel.streamOpened()
      if (connection.state === 'initializing') flush(connection, open)
      else channel.send(open)
      return id
    },

    deadline({ state, started }) {
      switch (state) {
        case 'initializing':
          return started + timeouts.hold
        case 'negotiating':
        case 'draining-early':
          return flushed + timeouts.nego
        default:
          return Infinity
      }
    },

    onDue(connection, unread) {
      if (connection.state === 'initializing') {
        flush(connection, NO_FRAME)
      } else if (connection.tryMove('nego-timeout')) {
        // Silence alone may as well be that of a path that swallows everything.
        const heard = unread().length > 0
        connection.closed(
          new AnyTlsError(heard ? 'ERR_AUTH_REJECTED' : 'ERR_CONNECTION_TIMEOUT', NO_NEGO),
        )
      }
    },
  }
}
