// The connection machine of net-mux version 1, for both roles: they differ in the parity of the streams
// they open and in nothing else.
// Must never wait for the peer before it speaks, or end a stream because the other end will open no more.
import { AnyTlsError, PeerCloseError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import { Connection } from '../../engine/connection.ts'
import type { MachineEvent } from '../../engine/machine.ts'
import type { StreamRecord } from '../../engine/stream-record.ts'
import type { NetMuxConfig } from './config.ts'
import { FrameDecoder } from './frame-decoder.ts'
import { encodeDataHead, encodeGoAway, encodePing, encodePingAnswer } from './frame-encoder.ts'
import { Flag, MAX_UINT32 } from './frame.ts'
import type { Frame } from './frame.ts'
import { describeGoAwayCode, GoAwayCode, goAwayCodeOf } from './go-away-code.ts'
import { NETMUX_TABLE } from './state-table.ts'
import type { NetMuxInput, NetMuxState } from './state-table.ts'
import { makeStreamFrames } from './stream-frames.ts'

/** A client opens streams 1, 3, 5, …, a server 2, 4, 6, …. */
export type NetMuxRole = 'client' | 'server'

export class NetMuxMachine extends Connection<NetMuxState, NetMuxInput> {
  readonly wire = 'netmux'
  readonly maxPayload: number

  /** The id of the next stream that this end opens. */
  protected nextId: number

  readonly #config: NetMuxConfig
  readonly #decoder: FrameDecoder
  /** The highest id that the peer has opened a stream with. */
  #highestTheirs = 0
  /** The peer has sent a frame. */
  #heard = false
  /** The peer has said GoAway, in order. */
  #peerGone = false
  /** The value of our last Ping. */
  #pingValue = 0

  constructor(role: NetMuxRole, config: NetMuxConfig, now: number) {
    const { initialStreamWindow, keepaliveInterval, keepaliveTimeout, openTimeout } = config
    super(
      {
        table: NETMUX_TABLE,
        state: 'open',
        timeouts: {
          // What is idle stays: keepalive alone tells whether the other end is there.
          connection: Infinity,
          stream: Infinity,
          keepalive: keepaliveInterval,
          ping: keepaliveTimeout,
          streamOpen: openTimeout,
          linger: Infinity,
        },
        frames: makeStreamFrames(
          (parts) => this.deliver(parts),
          (stream) => this.#finishes(stream),
        ),
        streams: {
          halfClose: true,
          flowControlled: true,
          // Not negotiated: each end takes the other to have the same.
          sendWindow: initialStreamWindow,
          receiveWindow: initialStreamWindow,
          // It does not grow: streams times window bounds the memory of a session.
          maxWindow: 0,
        },
      },
      now,
    )
    this.#config = config
    this.maxPayload = config.maxFrameSize
    this.#decoder = new FrameDecoder(config.maxFrameSize)
    this.nextId = role === 'client' ? 1 : 2
  }

  get mayOpen(): boolean {
    return (
      this.state === 'open' &&
      this.streams.size < this.#config.maxStreams &&
      this.nextId <= MAX_UINT32
    )
  }

  openStream(now: number): number {
    this.now = now
    if (!this.mayOpen) throw this.openError()
    const id = this.nextId
    this.nextId += 2
    this.streams.add(id, true, now)
    this.send(encodeDataHead(id, 0, Flag.Syn))
    return id
  }

  override endOfInput(now: number): readonly MachineEvent[] {
    this.now = now
    // A peer that has said goodbye may take its streams with it: they fail, the connection does not.
    const cut = this.#peerGone ? this.streams.list() : []
    for (const record of cut) {
      const served = record.answered || !record.openedHere
      const code = served ? 'ERR_SESSION_CLOSED' : 'ERR_SESSION_DRAINING'
      this.streams.end(record, new AnyTlsError(code))
    }
    return super.endOfInput(now)
  }

  override sendData(
    stream: number,
    parts: readonly Uint8Array[],
    bytes: number,
    now: number,
  ): void {
    // The first frame on a stream of the peer's must be the ACK.
    this.acceptStream(stream, now)
    super.sendData(stream, parts, bytes, now)
  }

  override finishStream(stream: number, now: number): readonly MachineEvent[] {
    this.acceptStream(stream, now)
    return super.finishStream(stream, now)
  }

  override acceptStream(stream: number, now: number): void {
    super.acceptStream(stream, now)
    // Credit that was held back.
    super.consumed(stream, 0, now)
  }

  override consumed(stream: number, bytes: number, now: number): void {
    const record = this.streams.get(stream)
    const unanswered = record !== undefined && !record.openedHere && !record.answered
    // Nothing may go out on the stream before its ACK.
    if (unanswered) record.consumed += bytes
    else super.consumed(stream, bytes, now)
  }

  protected push(chunk: Uint8Array): void {
    this.#decoder.push(chunk)
  }

  protected step(): boolean {
    const frame = this.#decoder.next()
    if (frame === undefined) return false
    if (!this.#heard) {
      // Nothing is negotiated: the first frame shows that the other end speaks net-mux.
      this.#heard = true
      this.emit({ type: 'established', peer: '' })
    }
    this.#onFrame(frame)
    return true
  }

  protected get speaking(): boolean {
    return !this.over
  }

  protected get negotiated(): boolean {
    return !this.over
  }

  protected override get keepsAlive(): boolean {
    return this.pingable
  }

  protected sendPing(): void {
    this.#pingValue = (this.#pingValue + 1) % (MAX_UINT32 + 1)
    this.send(encodePing(this.#pingValue))
  }

  protected sendClose(code: CloseCode): void {
    this.send(encodeGoAway(goAwayCodeOf(code)))
  }

  protected onViolation(error: AnyTlsError): void {
    const ofVersion = error.code === 'ERR_VERSION_UNSUPPORTED'
    this.#goAway(ofVersion ? GoAwayCode.InvalidVersion : GoAwayCode.ProtocolError, error)
  }

  protected override onStreamFault(record: StreamRecord, message: string): void {
    const error = new AnyTlsError('ERR_PROTOCOL_VIOLATION', message)
    const overrun = !record.receiveEnded
    this.#goAway(overrun ? GoAwayCode.FlowControlError : GoAwayCode.ProtocolError, error)
  }

  protected override onUnknownStream(id: number): void {
    // A frame that raced the end of its stream is dropped.
    const known = this.#isOurs(id) ? id < this.nextId : id <= this.#highestTheirs
    if (!known) throw violation(`stream ${id} was never opened`)
  }

  #goAway(code: GoAwayCode, error: AnyTlsError): void {
    if (!this.tryMove('violation')) return
    this.send(encodeGoAway(code))
    this.closed(error)
  }

  #onFrame(frame: Frame): void {
    switch (frame.type) {
      case 'data':
        this.#onData(frame.stream, frame.flags)
        break
      case 'payload':
        this.streams.onData(frame.stream, frame.data, this.now)
        break
      case 'data-end':
        if ((frame.flags & Flag.Rst) === 0) this.streams.onEnd(frame.stream, this.now)
        else this.streams.onReset(frame.stream, CloseCode.RemoteDisconnect, '', this.now)
        break
      case 'window-update':
        this.move('window-update')
        this.#onWindowUpdate(frame.stream, frame.increment)
        break
      case 'ping':
        this.move('ping')
        if (frame.isAnswer) this.#onPong(frame.value)
        else this.send(encodePingAnswer(frame.value))
        break
      case 'goaway':
        this.#onGoAway(frame.code)
        break
    }
  }

  #onData(stream: number, flags: number): void {
    if ((flags & Flag.Syn) !== 0) {
      this.move('stream-open')
      this.#onOpen(stream)
      return
    }
    this.move('data')
    const record = this.streams.touch(stream, this.now)
    if (record !== undefined && (flags & Flag.Ack) !== 0) this.streams.markAnswered(record)
  }

  #onOpen(stream: number): void {
    if (this.#isOurs(stream)) throw violation(`stream ${stream} was opened by the wrong end`)
    if (this.streams.has(stream)) throw violation(`stream ${stream} was opened twice`)
    // Not in order: openings of several threads of the peer may overtake each other.
    this.#highestTheirs = Math.max(this.#highestTheirs, stream)
    if (this.isDraining) {
      this.streams.refuse(stream, CloseCode.Rejected, '')
    } else if (this.streams.size >= this.#config.maxStreams) {
      this.streams.refuse(stream, CloseCode.ResourceExhausted, '')
    } else {
      this.streams.add(stream, false, this.now)
      this.emit({ type: 'open', stream })
    }
  }

  #onWindowUpdate(stream: number, increment: number): void {
    const room = MAX_UINT32 - this.streams.credit(stream)
    const granted = Math.min(increment, room)
    if (granted === 0) this.streams.touch(stream, this.now)
    else this.streams.onCredit(stream, granted, this.now)
  }

  #onPong(value: number): void {
    if (value !== this.#pingValue) return
    const roundTrip = this.liveness.takePong(this.now)
    if (roundTrip !== undefined) this.emit({ type: 'pong', roundTrip })
  }

  #onGoAway(code: number): void {
    if (code === GoAwayCode.Normal) {
      this.move('goaway')
      this.#peerGone = true
      this.tellDraining()
      this.checkDrained()
    } else {
      this.move('goaway-error')
      this.closed(new PeerCloseError('ERR_CLOSE_RECEIVED', code, describeGoAwayCode(code)))
    }
  }

  #finishes(stream: number): boolean {
    const record = this.streams.get(stream)
    return record !== undefined && record.answered && record.receiveEnded
  }

  #isOurs(stream: number): boolean {
    return (stream - this.nextId) % 2 === 0
  }
}

function violation(message: string): AnyTlsError {
  return new AnyTlsError('ERR_PROTOCOL_VIOLATION', message)
}
