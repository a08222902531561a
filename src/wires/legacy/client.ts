// The client of the original wire: what leaves in one Deliver, version 1 or 2, answers to SYN, the server's padding
// scheme (D23, D25 to D29, D48).
// Must never send the authentication block in pieces, or a SYN before the settings.
import { AnyTlsError, authRejected, violation } from '../../errors.ts'
import type { Channel } from '../../engine/channel.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { Connection } from '../../engine/connection.ts'
import { Engine } from '../../engine/engine.ts'
import type { Machine } from '../../engine/machine.ts'
import type { Role } from '../../engine/role.ts'
import { parseRawScheme } from '../../shaping/scheme.ts'
import type { LegacyClientConfig } from './config.ts'
import { handleEither, roleBase, takesEffect } from './either-role.ts'
import { makeFrameDecoder } from './frame-decoder.ts'
import {
  PADDING_FORMAT,
  encodeAuthBlock,
  encodeFin,
  encodePushHead,
  encodeSettings,
  encodeSyn,
} from './frame-encoder.ts'
import { MAX_STREAM_ID } from './frame.ts'
import type { Frame } from './frame.ts'
import { readText } from './peer-text.ts'
import { decodeServerSettings, encodeClientSettingsText, VERSION } from './settings.ts'
import { CLIENT_TABLE } from './state-tables.ts'
import type { Input } from './state-tables.ts'

const NO_ANSWER =
  'the server did not answer on the original AnyTLS wire (wrong password, or another kind of server)'

export function legacyClient(config: LegacyClientConfig, now: number): Machine {
  return new Engine(clientRole(config), now)
}

export function clientRole(config: LegacyClientConfig): Role<Frame, Input> {
  const { timeouts } = config
  const knownToBeOld = config.knownVersion === 1
  /** Both ends speak version 2: SYNACK and heartbeats mean something. */
  let isVersion2 = false
  let established = false
  /** Settings and SYNs that wait for the first data of their stream, to leave in one Deliver with it. */
  let held: Uint8Array[] = []
  /** The first stream whose SYN is held. */
  let heldFrom = Infinity
  let heldDue = Infinity
  /** Until when the server's settings are awaited. */
  let answerDue = Infinity
  /** When the driver must come back for an event that came about by a call of its own. */
  let tellDue = Infinity
  let schemeUpdated = false
  let takenForOld = knownToBeOld

  /** Deliver 0, the authentication block; the settings are held for what comes with them. */
  function flush(connection: Connection<Input>): void {
    connection.move('flush')
    const { passwordHash, scheme, name, randomInt } = config
    const shaper = connection.channel.startShaping(scheme, randomInt, PADDING_FORMAT)
    connection.channel.send(encodeAuthBlock(passwordHash, shaper.authPadding()))
    held.push(encodeSettings(encodeClientSettingsText(name, scheme.digest)))
    if (!knownToBeOld) {
      answerDue = connection.now + timeouts.answer
      return
    }
    // D48: no settings will come.
    establish(connection)
    tellDue = connection.now
  }

  /** The server does not say who it is. */
  function establish({ channel }: Connection<Input>): void {
    if (established) return
    established = true
    channel.emit({ type: 'established', peer: '' })
  }

  /** Writes a frame of a stream, together with the stream's SYN when that is still held. */
  function say(channel: Channel, stream: number, parts: readonly Uint8Array[]): void {
    channel.deliver(stream >= heldFrom ? [...takeHeld(channel), ...parts] : parts)
  }

  function takeHeld(channel: Channel): Uint8Array[] {
    const taken = held
    if (heldFrom < Infinity) channel.streamOpened()
    held = []
    heldFrom = Infinity
    heldDue = Infinity
    return taken
  }

  /** Before anything has shown whom we talk to, only frames that make sense are believed. */
  function requireOpened(
    connection: Connection<Input>,
    { type, stream }: Extract<Frame, { stream: number }>,
  ): void {
    const ofStream = type === 'push' || type === 'fin' || type === 'synack'
    if (!ofStream || (stream > 0 && stream <= connection.streams.lastId)) return
    throw violation(`${type} on stream ${stream}, never opened`)
  }

  /** The server's version is known, or taken for granted; settings that come late still count. */
  function useVersion({ streams }: Connection<Input>, version: number): void {
    answerDue = Infinity
    isVersion2 = version >= VERSION
    streams.expectsAnswer = isVersion2
    if (isVersion2) return
    for (const record of streams.list()) {
      streams.markAnswered(record)
      // No open timer for it, whatever the server says later.
      record.heard = true
    }
  }

  function onSynAck(connection: Connection<Input>, stream: number, reason: Uint8Array): void {
    const { channel, streams } = connection
    if (reason.length === 0) {
      streams.onAnswer(stream)
    } else if (streams.has(stream)) {
      say(channel, stream, [encodeFin(stream)])
      streams.onReset(stream, CloseCode.DestinationUnreachable, readText(reason))
    }
  }

  function onUpdateScheme({ channel }: Connection<Input>, body: Uint8Array): void {
    // Reading one is not cheap, and a server has no reason to send another.
    if (schemeUpdated) return
    schemeUpdated = true
    channel.learn(() => parseRawScheme(body))
  }

  return {
    ...roleBase(config, { finish: 'lingers', expectsAnswer: !knownToBeOld }),
    table: CLIENT_TABLE,
    mute: ['initializing'],
    frames: {
      // Only servers accept streams.
      accept() {},
      data: (channel, { id }, parts, bytes) =>
        say(channel, id, [encodePushHead(id, bytes), ...parts]),
      reset: (channel, id) => say(channel, id, [encodeFin(id)]),
    },
    // Middleboxes forget connections that are silent for 30 s.
    pingsIdle: true,
    // A server of version 1 says nothing before its targets do, so that an end of it tells nothing.
    noAnswer: (heard) =>
      heard || !takenForOld
        ? authRejected(NO_ANSWER, heard)
        : new AnyTlsError('ERR_CONNECTION_LOST', NO_ANSWER),
    makeDecoder: () => makeFrameDecoder(false),
    answersPings: () => isVersion2,

    // A server of version 1 has nothing to answer with, so its streams may be silent for as long as they like.
    idleLimit({ negotiated, streams }) {
      const answers = negotiated ? isVersion2 : !knownToBeOld
      return answers || streams.size === 0 ? timeouts.connection : Infinity
    },

    handle(connection, frame) {
      if (!connection.negotiated && 'stream' in frame) requireOpened(connection, frame)
      if (!takesEffect(connection, frame)) return
      if (connection.negotiated) establish(connection)
      const ours = handleEither(connection, frame)
      if (ours === undefined) return
      // The others are passed over, as in the reference: only servers have a use for them.
      if (ours.type === 'server-settings') useVersion(connection, decodeServerSettings(ours.body))
      else if (ours.type === 'update-scheme') onUpdateScheme(connection, ours.body)
      else if (ours.type === 'synack') onSynAck(connection, ours.stream, ours.reason)
    },

    violation(connection, error) {
      if (!connection.tryMove('violation')) return
      connection.closed(new AnyTlsError('ERR_AUTH_REJECTED', `${NO_ANSWER}: ${error.message}`))
    },

    mayOpen({ state, streams }) {
      const open = state === 'initializing' || state === 'unconfirmed' || state === 'open'
      return open && streams.size < config.maxStreams && streams.lastId < MAX_STREAM_ID
    },

    open(connection) {
      const { now, streams } = connection
      if (connection.state === 'initializing') flush(connection)
      streams.lastId += 1
      const id = streams.lastId
      const record = streams.add(id, true)
      held.push(encodeSyn(id))
      heldFrom = Math.min(heldFrom, id)
      heldDue = Math.min(heldDue, now + timeouts.hold)
      if (!streams.expectsAnswer) {
        streams.markAnswered(record)
        tellDue = now
      }
      return id
    },

    deadline({ state, started }) {
      if (state === 'initializing') return started + timeouts.hold
      return Math.min(heldDue, answerDue, tellDue)
    },

    onDue(connection) {
      const { channel, now } = connection
      if (connection.state === 'initializing') {
        flush(connection)
        channel.deliver(takeHeld(channel))
      } else {
        if (now >= heldDue) channel.deliver(takeHeld(channel))
        if (now >= answerDue) {
          takenForOld = true
          useVersion(connection, 1)
        }
      }
      tellDue = Infinity
    },
  }
}
