// Either end of net-mux version 1: the roles differ in the parity of the streams they open and in nothing else.
// Must never wait for the peer before it speaks, or end a stream because the other end will open no more.
import { AnyTlsError, PeerCloseError, violation } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { Connection } from '../../engine/connection.ts'
import { Engine } from '../../engine/engine.ts'
import type { Machine } from '../../engine/machine.ts'
import type { Role } from '../../engine/role.ts'
import type { StreamFrames } from '../../engine/streams.ts'
import type { NetMuxConfig } from './config.ts'
import { makeFrameDecoder } from './frame-decoder.ts'
import {
  encodeDataHead,
  encodeGoAway,
  encodePing,
  encodePingAnswer,
  encodeWindowUpdate,
} from './frame-encoder.ts'
import { Flag, MAX_UINT32 } from './frame.ts'
import type { Frame } from './frame.ts'
import { describeGoAwayCode, GoAwayCode, goAwayCodeOf } from './go-away-code.ts'
import { TABLE } from './state-table.ts'
import type { Input } from './state-table.ts'

/** A client opens streams 1, 3, 5, …, a server 2, 4, 6, …. */
export type NetMuxEnd = 'client' | 'server'

const STREAM_FRAMES: StreamFrames = {
  accept: (channel, { id }) => channel.send(encodeDataHead(id, 0, Flag.Ack)),
  data: (channel, { id }, parts, bytes) => channel.deliver([encodeDataHead(id, bytes), ...parts]),
  credit: (channel, { id }, bytes) => channel.send(encodeWindowUpdate(id, bytes)),
  end: (channel, { id }) => channel.send(encodeDataHead(id, 0, Flag.Fin)),
  // RST has no room for a code or a reason, and is an error to the peer whatever it was here. FIN is all that a
  // stream needs to be over that the peer has ended too.
  reset(channel, id, code, _reason, record) {
    const finishes = record !== undefined && record.answered && record.receiveEnded
    const inOrder = code === CloseCode.Graceful && finishes
    channel.send(encodeDataHead(id, 0, inOrder ? Flag.Fin : Flag.Rst))
  },
}

export function netMuxMachine(end: NetMuxEnd, config: NetMuxConfig, now: number): Machine {
  return new Engine(netMuxRole(end, config), now)
}

export function netMuxRole(end: NetMuxEnd, config: NetMuxConfig): Role<Frame, Input> {
  const { initialStreamWindow, keepaliveInterval, keepaliveTimeout, openTimeout } = config
  /** The highest id that the peer has opened a stream with. */
  let highestTheirs = 0
  /** The peer has sent a frame. */
  let heard = false
  /** The peer has said GoAway, in order. */
  let peerGone = false
  /** The value of our last Ping. */
  let pingValue = 0

  const isOurs = (id: number): boolean => id % 2 === (end === 'client' ? 1 : 0)
  const nextId = (lastId: number): number =>
    lastId === 0 ? (end === 'client' ? 1 : 2) : lastId + 2

  function onData(connection: Connection<Input>, stream: number, flags: number): void {
    if ((flags & Flag.Syn) !== 0) {
      connection.move('stream-open')
      onOpen(connection, stream)
      return
    }
    connection.move('data')
    const record = connection.streams.touch(stream)
    if (record !== undefined && (flags & Flag.Ack) !== 0) connection.streams.markAnswered(record)
  }

  function onOpen(connection: Connection<Input>, stream: number): void {
    if (isOurs(stream)) throw violation(`stream ${stream} was opened by the wrong end`)
    if (connection.streams.has(stream)) throw violation(`stream ${stream} was opened twice`)
    // Not in order: openings of several threads of the peer may overtake each other.
    highestTheirs = Math.max(highestTheirs, stream)
    connection.admit(stream, config.maxStreams, undefined)
  }

  function onWindowUpdate({ streams }: Connection<Input>, stream: number, increment: number): void {
    streams.onCredit(stream, Math.min(increment, MAX_UINT32 - streams.credit(stream)))
  }

  function onGoAway(connection: Connection<Input>, code: number): void {
    if (code === GoAwayCode.Normal) {
      connection.move('goaway')
      peerGone = true
      connection.tellDraining()
    } else {
      connection.move('goaway-error')
      connection.closed(new PeerCloseError('ERR_CLOSE_RECEIVED', code, describeGoAwayCode(code)))
    }
  }

  function goAwayCodeFor(error: AnyTlsError, overrun: boolean): GoAwayCode {
    if (error.code === 'ERR_VERSION_UNSUPPORTED') return GoAwayCode.InvalidVersion
    if (error.code === 'ERR_TOO_MANY_RESETS') return GoAwayCode.StreamLimit
    return overrun ? GoAwayCode.FlowControlError : GoAwayCode.ProtocolError
  }

  return {
    wire: 'netmux',
    maxPayload: config.maxFrameSize,
    table: TABLE,
    mute: [],
    timeouts: {
      // What is idle stays: keepalive alone tells whether the other end is there.
      connection: Infinity,
      stream: Infinity,
      keepalive: keepaliveInterval,
      ping: keepaliveTimeout,
      streamOpen: openTimeout,
      linger: Infinity,
    },
    rules: {
      halfClose: true,
      flowControlled: true,
      // Not negotiated: each end takes the other to have the same.
      sendWindow: initialStreamWindow,
      receiveWindow: initialStreamWindow,
      // Streams times window bounds the memory of a session.
      openWindow: false,
      expectsAnswer: true,
      // The first frame on a stream of the peer's must be the ACK.
      acceptsFirst: true,
      finish: 'lingers',
      fault: 'connection',
      isKnown: (id, lastId) => (isOurs(id) ? id <= lastId : id <= highestTheirs),
    },
    frames: STREAM_FRAMES,
    liftControl: false,
    pingsIdle: true,
    makeDecoder: () => makeFrameDecoder(config.maxFrameSize),
    idleLimit: () => Infinity,

    handle(connection, frame) {
      const { channel, streams } = connection
      if (!heard) {
        // Nothing is negotiated: the first frame shows that the other end speaks net-mux.
        heard = true
        channel.emit({ type: 'established', peer: '' })
      }
      switch (frame.type) {
        case 'data':
          onData(connection, frame.stream, frame.flags)
          break
        case 'payload':
          streams.onData(frame.stream, frame.data)
          break
        case 'data-end':
          if ((frame.flags & Flag.Rst) === 0) streams.onEnd(frame.stream)
          else streams.onReset(frame.stream, CloseCode.RemoteDisconnect, '')
          break
        case 'window-update':
          connection.move('window-update')
          onWindowUpdate(connection, frame.stream, frame.increment)
          break
        case 'ping':
          connection.move('ping')
          if (!frame.isAnswer) channel.send(encodePingAnswer(frame.value))
          else if (frame.value === pingValue) connection.takePong()
          break
        case 'goaway':
          onGoAway(connection, frame.code)
          break
      }
    },

    violation(connection, error) {
      if (!connection.tryMove('violation')) return
      const code = goAwayCodeFor(error, connection.streams.overrun)
      connection.channel.send(encodeGoAway(code))
      connection.closed(error)
    },

    mayOpen({ state, streams }) {
      const room = streams.size < config.maxStreams && nextId(streams.lastId) <= MAX_UINT32
      return state === 'open' && room
    },

    open({ channel, streams }) {
      const id = nextId(streams.lastId)
      streams.lastId = id
      streams.add(id, true)
      channel.send(encodeDataHead(id, 0, Flag.Syn))
      return id
    },

    ping({ channel }) {
      pingValue = (pingValue + 1) % (MAX_UINT32 + 1)
      channel.send(encodePing(pingValue))
    },

    goodbye({ channel }, code) {
      channel.send(encodeGoAway(goAwayCodeOf(code)))
    },

    // A peer that has said goodbye may take its streams with it: they fail, the connection does not.
    beforeEnd({ streams }) {
      if (!peerGone) return
      for (const record of streams.list()) {
        const served = record.answered || !record.openedHere
        const code = served ? 'ERR_SESSION_CLOSED' : 'ERR_SESSION_DRAINING'
        streams.end(record, new AnyTlsError(code))
      }
    },
  }
}
