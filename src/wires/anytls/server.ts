// The server of ANYTLS v1: AUTH, NEGO, streams that clients open (draft, Authentication and Version Negotiation;
// D14 to D24).
// Must never write a byte before the client has authenticated.
import { AnyTlsError, violation } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { Connection } from '../../engine/connection.ts'
import { Engine } from '../../engine/engine.ts'
import type { Machine } from '../../engine/machine.ts'
import { makeGate } from '../../engine/role.ts'
import type { JudgeRecord, Role } from '../../engine/role.ts'
import { UNLIMITED } from '../../engine/stream-record.ts'
import { encodeScheme } from '../../shaping/scheme.ts'
import { matchesAuth } from './auth.ts'
import type { ServerConfig } from './config.ts'
import { handleEither, roleBase, sendAlert, sendClose, startMux1 } from './either-role.ts'
import type { Mux1 } from './either-role.ts'
import {
  PADDING_FORMAT,
  encodeGoAway,
  encodeSchemeUpdate,
  encodeServerNego,
} from './frame-encoder.ts'
import type { Frame } from './frame.ts'
import { chooseVersion, decodeClientNegoBlock, encodeServerNegoBlock, firstFlight } from './nego.ts'
import { SERVER_TABLE } from './state-tables.ts'
import type { Input } from './state-tables.ts'

/** mux1: how long a client that was told GOAWAY has to answer, in milliseconds. */
const GOAWAY_TIMEOUT = 1_000

/** The last id of a GOAWAY that takes back no stream. */
const EVERY_STREAM = Number.MAX_SAFE_INTEGER

/** @param judge decides on the first record; by default whether it begins with AUTH for the password */
export function anyTlsServer(config: ServerConfig, now: number, judge?: JudgeRecord): Machine {
  return new Engine(serverRole(config, judge), now)
}

export function serverRole(
  config: ServerConfig,
  judge: JudgeRecord = (firstRecord) => matchesAuth(firstRecord, config.passwordHash),
): Role<Frame, Input> {
  const mux1: Mux1 = { active: false }
  let goAwayDue = Infinity

  function onClientNego(connection: Connection<Input>, body: Uint8Array): void {
    const { channel, streams } = connection
    const nego = decodeClientNegoBlock(body)
    const version = chooseVersion(nego.versions)
    if (version === undefined) {
      // D20
      connection.move('version-unsupported')
      sendClose(connection, CloseCode.UnsupportedVersion)
      connection.closed(new AnyTlsError('ERR_VERSION_UNSUPPORTED'))
      return
    }
    const { scheme, name, mux1Window } = config
    if (mux1Window !== undefined && nego.mux1Window !== undefined) {
      startMux1(mux1, streams, nego.mux1Window)
      streams.firstFlight = firstFlight(nego.mux1Window)
    }
    const block = encodeServerNegoBlock({
      version,
      server: name,
      mux1Window: mux1.active ? mux1Window : undefined,
    })
    channel.send(encodeServerNego(block))
    // D23: at once, whenever the digests differ.
    if (nego.schemeDigest !== scheme.digest) channel.send(encodeSchemeUpdate(encodeScheme(scheme)))
    channel.emit({ type: 'established', peer: nego.client })
  }

  function onOpen(connection: Connection<Input>, stream: number): void {
    if (stream <= connection.streams.lastId) {
      throw violation(`stream ${stream} opened out of order`)
    }
    connection.streams.lastId = stream
    connection.admit(stream, config.maxStreams, undefined)
  }

  return {
    ...roleBase(config, mux1, { sendWindow: UNLIMITED, finish: 'closes' }),
    table: SERVER_TABLE,
    mute: ['await-auth'],
    gate: makeGate(judge, config),
    goodbye(connection, code, reason) {
      if (reason === undefined) sendClose(connection, code)
      else sendAlert(connection, reason)
    },

    handle(connection, frame) {
      const ours = handleEither(connection, mux1, frame)
      if (ours === undefined) return
      if (ours.type === 'auth') connection.channel.shapeDownlink(config, PADDING_FORMAT)
      else if (ours.type === 'client-nego') onClientNego(connection, ours.body)
      else if (ours.type === 'stream') onOpen(connection, ours.stream)
      // Behind a GOAWAY the table has moved on: nothing that the client opened is under way any more.
      else if (ours.type !== 'goaway') throw violation(`${ours.type} from a client`)
    },

    violation(connection, error) {
      if (!connection.tryMove('violation')) return
      sendAlert(connection, error.message)
      connection.closed(error)
    },

    goAway(connection) {
      if (mux1.active) {
        goAwayDue = connection.now + GOAWAY_TIMEOUT
        connection.channel.send(encodeGoAway(EVERY_STREAM, CloseCode.Graceful))
      } else {
        connection.move('goaway-done')
      }
    },

    deadline: ({ state }) => (state === 'going-away' ? goAwayDue : Infinity),

    onDue(connection) {
      connection.move('goaway-done')
      connection.channel.send(encodeGoAway(connection.streams.lastId, CloseCode.Graceful))
    },
  }
}
