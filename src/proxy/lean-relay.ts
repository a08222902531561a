// A stream of a session and a socket joined without Duplex and pipe in between: lent bytes go from the one's read buffer
// to the other's write, and what one turn brings to the socket leaves in one write.
// Must never hold more than two writes of a socket beside what the stream's window allows.
import type { Socket } from 'node:net'
import { BlockQueue } from '../codec/block-queue.ts'
import { CloseCode } from '../engine/close-code.ts'
import { AnyTlsError } from '../errors.ts'
import { MAX_DELAY } from '../session/clock.ts'
import { JOIN_SIZE, giveJoinBuffer, takeJoinBuffer } from '../session/join-buffers.ts'
import type { Lane, LaneSink } from '../session/lane.ts'
import { lendReads, READ_SIZE, takeReads, widenReads } from '../session/lent-reads.ts'
import type { Diverted, Stream } from '../session/stream.ts'
import { flushAtTurnEnd } from '../session/turn-end.ts'
import { closeGently, limitStall } from './close-gently.ts'

/** Bytes under way at which it reads no more for now: others would wait in buffers of their own, and some be copied twice. */
const ENOUGH = READ_SIZE / 2

/** How soon a read has left that nothing held up, in milliseconds. */
const PROMPT = 20

/** Bytes that left promptly before wide reads follow: twice what Linux takes by default for a line that stands still. */
const PROVEN = 8 << 20

/** Bytes of a read from which on more may follow at once. */
const WORTH_WIDENING = READ_SIZE / 8

/** Relays that have come so far and have a read under way; with more none reads wide: who did would have most of the processor. */
const MANY_PROVEN = 16
let provenUnderWay = 0

export class LeanRelay implements LaneSink {
  /** Resolves when both sides are over, however they ended. */
  readonly over: Promise<void>

  readonly #stream: Stream
  readonly #socket: Socket
  readonly #halfOpenTimeout: number
  #lane!: Lane
  #resolve: () => void = () => {}

  // From the stream to the socket, in this order: under way, joined, waiting.
  #underWay: Buffer | undefined
  #writing = false
  #joined: Buffer | undefined
  #joinedLength = 0
  #isDue = false
  #waiting: BlockQueue | undefined
  /** Bytes in front of what waits that the peer has credit back for. */
  #credited = 0
  /** Bytes of this turn that the peer has no credit back for. */
  #taken = 0
  /** The peer sends no more. */
  #downEnded = false
  /** The socket has been told so. */
  #socketEnded = false
  /** The stream is over on the wire, in order. */
  #streamOver = false

  // From the socket to the stream.
  #paused = false
  /** When, in milliseconds; no integer, or V8 would drop what it has optimized when the first one comes that is none. */
  #pausedAt = NaN
  /** Bytes of the last read. */
  #lastRead = 0
  /** Bytes of reads that it paused for and that left promptly, since one did not. */
  #prompt = 0
  /** How often `left` is still to come. */
  #leaving = 0
  /** The socket sends no more. */
  #upEnded = false
  #upFinished = false
  #socketClosed = false

  /** `undefined` where the stream's Duplex is in use already. */
  static join(stream: Stream, socket: Socket, halfOpenTimeout: number): LeanRelay | undefined {
    const relay = new LeanRelay(stream, socket, halfOpenTimeout)
    const diverted = stream.divert(relay)
    if (diverted === undefined) return undefined
    relay.#start(diverted)
    return relay
  }

  private constructor(stream: Stream, socket: Socket, halfOpenTimeout: number) {
    this.#stream = stream
    this.#socket = socket
    this.#halfOpenTimeout = halfOpenTimeout
    this.over = new Promise((resolve) => (this.#resolve = resolve))
  }

  #start({ lane, unread, ended, leaving }: Diverted): void {
    const socket = this.#socket
    this.#lane = lane
    this.#leaving = Number(leaving)
    this.#stream.on('close', this.#onStreamClose)
    socket.on('error', ignore).on('close', this.#onSocketClose)
    for (const bytes of unread) this.data(bytes)
    this.#taken = 0
    this.#credited = this.#waiting?.length ?? 0
    if (ended) this.end()
    this.#flushSoon()
    if (socket.readableEnded) this.#onSocketEnd()
    else socket.on('end', this.#onSocketEnd)
    for (;;) {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) break
      this.#onRead(chunk)
    }
    // What is lent is in no `data` event.
    if (socket.listenerCount('data') === 0) lendReads(socket, 'tcp')
    takeReads(socket, this.#onRead)
    // Taking makes it flow, whatever what came before has led to.
    if (this.#paused) socket.pause()
    else socket.resume()
  }

  data(view: Uint8Array): void {
    if (this.#socketClosed || this.#socketEnded) {
      this.#taken += view.length
      return
    }
    let at = 0
    if (this.#waiting === undefined || this.#waiting.length === 0) {
      at = this.#join(view)
      this.#taken += at
    }
    if (at < view.length) {
      const waiting = (this.#waiting ??= new BlockQueue())
      waiting.push(at === 0 ? view : view.subarray(at))
    }
  }

  /** Copies what there is room for. @returns how many bytes that were */
  #join(view: Uint8Array): number {
    if (this.#joined !== undefined && view.length > this.#joined.length - this.#joinedLength) {
      this.#enlarge()
    }
    const joined = (this.#joined ??= takeJoinBuffer(Math.min(view.length, JOIN_SIZE)))
    const room = Math.min(joined.length, JOIN_SIZE) - this.#joinedLength
    const bytes = Math.min(room, view.length)
    joined.set(bytes === view.length ? view : view.subarray(0, bytes), this.#joinedLength)
    this.#joinedLength += bytes
    if (bytes < room || this.#writing) return bytes
    this.#writeJoined()
    return bytes === view.length ? bytes : bytes + this.#join(view.subarray(bytes))
  }

  /** A small buffer becomes a large one. */
  #enlarge(): void {
    const small = this.#joined
    if (small === undefined || small.length >= JOIN_SIZE) return
    const large = takeJoinBuffer(JOIN_SIZE)
    large.set(small.subarray(0, this.#joinedLength))
    giveJoinBuffer(small)
    this.#joined = large
  }

  settle(): void {
    this.#giveCredit()
    this.#flushSoon()
  }

  #giveCredit(): void {
    const bytes = this.#taken
    if (bytes === 0) return
    this.#taken = 0
    this.#lane.consumed(bytes)
  }

  #flushSoon(): void {
    if (this.#isDue) return
    this.#isDue = true
    flushAtTurnEnd(this)
  }

  /** Writes what the turn has brought, or the next of what waits. */
  flush(): void {
    this.#isDue = false
    if (this.#writing || this.#socketClosed) return
    if (this.#joined !== undefined) this.#writeJoined()
    else if (this.#waiting !== undefined && this.#waiting.length > 0) this.#writeWaiting()
    else if (this.#downEnded) this.#endSocket()
  }

  #writeJoined(): void {
    const joined = this.#joined
    if (joined === undefined) return
    this.#underWay = joined
    this.#joined = undefined
    this.#writing = true
    const bytes = joined.subarray(0, this.#joinedLength)
    this.#joinedLength = 0
    this.#socket.write(bytes, this.#onWritten)
  }

  #writeWaiting(): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    const pieces: Uint8Array[] = []
    let bytes = 0
    while (bytes < JOIN_SIZE) {
      const piece = waiting.take()
      if (piece === undefined) break
      pieces.push(piece)
      bytes += piece.length
    }
    this.#writing = true
    const socket = this.#socket
    const last = pieces.pop()
    socket.cork()
    for (const piece of pieces) socket.write(piece)
    socket.write(last ?? '', this.#onWritten)
    socket.uncork()
    const credited = Math.min(this.#credited, bytes)
    this.#credited -= credited
    this.#taken += bytes - credited
    this.#giveCredit()
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#writing = false
    // After an error the kernel may still have it.
    if (this.#underWay !== undefined && !error) giveJoinBuffer(this.#underWay)
    this.#underWay = undefined
    if (error) return
    // A kernel that has room takes a write at once: what this turn has brought beyond it is not a write of its own.
    if (this.#joinedLength >= JOIN_SIZE || this.#joined === undefined) this.flush()
    else this.#flushSoon()
  }

  /** All that came has been written. */
  #endSocket(): void {
    if (this.#socketEnded) return
    this.#socketEnded = true
    // After an RST, which ends both directions, the socket may still have something to say. What it was told before
    // arrives (D6).
    if (this.#streamOver) closeGently(this.#socket)
    else this.#socket.end()
    this.#closeStream()
  }

  accepted(): void {}

  end(): void {
    if (this.#downEnded) return
    this.#downEnded = true
    this.#onHalfOpen()
    this.#flushSoon()
  }

  closed(): void {
    this.#streamOver = true
    // Whatever the socket still sends has nobody to go to.
    this.#lane.discard()
    this.#resume()
    if (this.#socketEnded) {
      if (!this.#socketClosed) closeGently(this.#socket)
      this.#closeStream()
    }
    this.end()
    this.#flushSoon()
  }

  /**
   * What is over on the wire, and on this side, is over for those who look at the stream; not before the socket has been
   * told all that came.
   */
  #closeStream(): void {
    const told = this.#streamOver && this.#socketEnded
    if (told || (this.#socketClosed && this.#upFinished)) this.#stream.destroy()
  }

  readonly #onRead = (bytes: Uint8Array): void => {
    if (this.#streamOver || this.#stream.destroyed) return
    this.#lastRead = bytes.length
    this.#lane.writeLent(bytes)
    if (this.#lane.pendingBytes >= ENOUGH || this.#lane.backlog >= ENOUGH) this.#pause()
    widenReads(this.#socket, this.#mayReadWide())
  }

  /** For the read that comes once the last one has left: Node asks for its buffer now. */
  #mayReadWide(): boolean {
    if (!this.#isProven || this.#lastRead < WORTH_WIDENING) return false
    return provenUnderWay <= MANY_PROVEN && this.#lane.widen()
  }

  get #isProven(): boolean {
    return this.#prompt >= PROVEN
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#pausedAt = performance.now()
    if (this.#isProven) provenUnderWay += 1
    this.#socket.pause()
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#isProven) provenUnderWay -= 1
    const isPrompt = performance.now() - this.#pausedAt < PROMPT
    this.#prompt = isPrompt ? this.#prompt + this.#lastRead : 0
    this.#socket.resume()
  }

  sent(): void {
    this.#leaving += 1
    this.#finishUp()
  }

  readonly #onSocketEnd = (): void => {
    this.#upEnded = true
    this.#onHalfOpen()
    this.#finishUp()
  }

  #finishUp(): void {
    if (!this.#upEnded || this.#upFinished || this.#streamOver || this.#stream.destroyed) return
    if (this.#lane.pendingBytes > 0) return
    this.#upFinished = true
    this.#lane.finish()
  }

  left(): void {
    // The end leaves as well, without `sent`.
    if (this.#leaving > 0) this.#leaving -= 1
    if (this.#leaving === 0 && this.#lane.pendingBytes === 0) this.#resume()
    if (this.#upFinished) this.#closeStream()
  }

  destroy(error: Error | undefined): void {
    this.#stream.destroy(error)
  }

  /** (The end of the socket's direction that came with the relay itself has been read by now.) */
  #onHalfOpen(): void {
    if (!this.#socketClosed) limitSilence(this.#socket, this.#halfOpenTimeout)
  }

  readonly #onSocketClose = (): void => {
    const socket = this.#socket
    this.#socketClosed = true
    this.#forget()
    if (this.#stream.destroyed) {
      this.#resolve()
      return
    }
    const inOrder = socket.errored === null && socket.readableEnded
    if (!inOrder && !this.#streamOver) {
      this.#stream.reset(timedOut(socket) ? CloseCode.Timeout : CloseCode.RemoteDisconnect)
    } else if (this.#streamOver || this.#upFinished) {
      this.#stream.destroy()
    }
  }

  readonly #onStreamClose = (): void => {
    if (this.#socketClosed) {
      this.#resolve()
      return
    }
    // In order it is over only when the socket has been told all.
    if (this.#stream.errored !== null || !this.#socketEnded) this.#cutOff()
  }

  /**
   * A reset takes nothing back. An answer that came whole before it is read by a program that still sends, as after a
   * reset of its own connection: servers answer a large upload early, and close.
   */
  #cutOff(): void {
    const socket = this.#socket
    if (this.#joined !== undefined) socket.write(this.#joined.subarray(0, this.#joinedLength))
    for (let piece; (piece = this.#waiting?.take()) !== undefined;) socket.write(piece)
    // The kernel may still have it.
    this.#joined = undefined
    if (this.#downEnded) closeGently(socket)
    else endOnceSent(socket)
  }

  /** Nobody wants what is still here. */
  #forget(): void {
    this.#resume()
    if (this.#joined !== undefined) giveJoinBuffer(this.#joined)
    this.#joined = undefined
    this.#joinedLength = 0
    this.#waiting = undefined
  }
}

/** Ends the socket without a reason for its program, but a reset. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return
  try {
    socket.resetAndDestroy()
  } catch {
    // Only a TCP handle can send a reset: a pipe or a TLS socket is destroyed instead.
  }
  socket.destroy()
}

/** Ends the socket, by default with a reset, once it has sent what waits, or its program takes none of it for 30 s. */
export function endOnceSent(socket: Socket, end = resetSocket): void {
  if (socket.writableLength === 0) {
    end(socket)
    return
  }
  limitStall(socket, () => end(socket))
  socket.write('', () => end(socket))
}

/** Ends the socket when it is silent for `timeout` milliseconds. */
export function limitSilence(socket: Socket, timeout: number): void {
  socket.setTimeout(Math.min(timeout, MAX_DELAY))
  if (socket.listeners('timeout').includes(onTimeout)) return
  // First of all listeners: node:http leaves one behind after CONNECT that would destroy without a reason.
  socket.prependListener('timeout', onTimeout)
}

function onTimeout(this: Socket): void {
  this.destroy(new AnyTlsError('ERR_STREAM_TIMEOUT'))
}

/** Whether {@link limitSilence} has ended it. */
export function timedOut(side: { readonly errored: Error | null }): boolean {
  return side.errored instanceof AnyTlsError && side.errored.code === 'ERR_STREAM_TIMEOUT'
}

function ignore(): void {}
