// The server of the original wire: authentication, settings, streams that clients open and the answers to them
// (D14 to D18, D23, D52).
// Must never write a byte before the client has authenticated.
import { utf8ToBytes } from '@noble/hashes/utils.js'
import type { Connection } from '../../engine/connection.ts'
import { Engine } from '../../engine/engine.ts'
import type { Machine } from '../../engine/machine.ts'
import { makeGate } from '../../engine/role.ts'
import type { JudgeRecord, Role } from '../../engine/role.ts'
import { toTextBlock } from '../../codec/text-block.ts'
import { matchesLegacyAuth } from './auth.ts'
import type { LegacyServerConfig } from './config.ts'
import { handleEither, roleBase, takesEffect } from './either-role.ts'
import { makeFrameDecoder } from './frame-decoder.ts'
import {
  PADDING_FORMAT,
  encodeAlert,
  encodeFin,
  encodePushHead,
  encodeServerSettings,
  encodeSynAck,
  encodeUpdateScheme,
} from './frame-encoder.ts'
import type { Frame } from './frame.ts'
import { decodeClientSettings, encodeServerSettingsText, VERSION } from './settings.ts'
import { SERVER_TABLE } from './state-tables.ts'
import type { Input } from './state-tables.ts'

/** Most bytes of the text in an alert or a refusal. */
const MAX_TEXT = 1_024

/**
 * @param judge decides on the first record; by default whether it begins with an authentication block for the
 *   password
 */
export function legacyServer(
  config: LegacyServerConfig,
  now: number,
  judge?: JudgeRecord,
): Machine {
  return new Engine(serverRole(config, judge), now)
}

export function serverRole(
  config: LegacyServerConfig,
  judge: JudgeRecord = (firstRecord) => matchesLegacyAuth(firstRecord, config.passwordHash),
): Role<Frame, Input> {
  const { timeouts } = config
  /** Both ends speak version 2: SYNACK and heartbeats mean something. */
  let isVersion2 = false
  let settled = false
  /** Streams that wait for SYNACK, and since when; the oldest stands first. */
  const unanswered = new Map<number, number>()

  function onSettings({ channel }: Connection<Input>, body: Uint8Array): void {
    // Settings that come again change nothing.
    if (settled) return
    settled = true
    const { version, client, schemeDigest } = decodeClientSettings(body)
    const { scheme } = config
    // D23: at once, whenever the digests differ, and the raw text, whose digest it is.
    const answer =
      schemeDigest === scheme.digest ? [] : [encodeUpdateScheme(utf8ToBytes(scheme.text))]
    isVersion2 = version >= VERSION
    if (isVersion2) answer.push(encodeServerSettings(encodeServerSettingsText()))
    if (answer.length > 0) channel.deliver(answer)
    channel.emit({ type: 'established', peer: client })
  }

  function onSyn(connection: Connection<Input>, stream: number): void {
    if (connection.streams.has(stream)) return
    const record = connection.admit(stream, config.maxStreams, undefined)
    if (record !== undefined && isVersion2) unanswered.set(stream, connection.now)
  }

  return {
    ...roleBase(config, { finish: 'accepts-and-closes', expectsAnswer: true }),
    table: SERVER_TABLE,
    mute: ['await-auth'],
    frames: {
      accept(channel, { id }) {
        if (unanswered.delete(id)) channel.send(encodeSynAck(id))
      },
      data: (channel, { id }, parts, bytes) =>
        channel.deliver([encodePushHead(id, bytes), ...parts]),
      // Before SYNACK version 2 says why; behind it, and in version 1, there is only FIN.
      reset(channel, id, _code, reason, record) {
        const waits = unanswered.delete(id) || record === undefined
        const refuses = isVersion2 && waits
        channel.send(
          refuses ? encodeSynAck(id, toTextBlock(reason || 'refused', MAX_TEXT)) : encodeFin(id),
        )
      },
    },
    pingsIdle: false,
    gate: makeGate(judge, config),
    makeDecoder: () => makeFrameDecoder(true),
    answersPings: () => isVersion2,
    goodbye({ channel }, _code, reason) {
      if (reason !== undefined) channel.send(encodeAlert(toTextBlock(reason, MAX_TEXT)))
    },

    idleLimit({ negotiated, streams }) {
      if (!negotiated) return timeouts.connection
      // D52: clients of this wire keep connections and never ping.
      if (streams.size === 0) return timeouts.legacyIdle
      // Version 1 has nothing to answer with, so its streams may be silent for as long as they like.
      return isVersion2 ? timeouts.connection : Infinity
    },

    handle(connection, frame) {
      if (frame.type === 'fin') unanswered.delete(frame.stream)
      if (!takesEffect(connection, frame)) return
      const ours = handleEither(connection, frame)
      if (ours === undefined) return
      // The others are passed over, as in the reference: only clients have a use for them.
      if (ours.type === 'auth') connection.channel.shapeDownlink(config, PADDING_FORMAT)
      else if (ours.type === 'settings') onSettings(connection, ours.body)
      else if (ours.type === 'syn') onSyn(connection, ours.stream)
    },

    violation(connection, error) {
      if (!connection.tryMove('violation')) return
      connection.channel.send(encodeAlert(toTextBlock(error.message, MAX_TEXT)))
      connection.closed(error)
    },

    deadline() {
      const [oldest] = unanswered.values()
      return oldest === undefined ? Infinity : oldest + timeouts.synack
    },

    onDue(connection) {
      const due = connection.now - timeouts.synack
      for (const [id, opened] of unanswered) {
        if (opened > due) break
        connection.streams.accept(id)
      }
    },
  }
}
