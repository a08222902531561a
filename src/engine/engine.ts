// One machine for all wires: takes calls and bytes, asks the value of the wire, gives back events and Writes.
// Calls go one way: engine, then the wire's role, then the connection and its streams.
import { AnyTlsError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type { FrameReader } from '../codec/frame-reader.ts'
import { CloseCode } from './close-code.ts'
import { Connection } from './connection.ts'
import { MAX_FRAMES_PER_CALL, MAX_OPENINGS_PER_CALL } from './machine.ts'
import type { Machine, MachineEvent, StreamRequest, Wire, Write } from './machine.ts'
import type { Gate, Role } from './role.ts'

const NO_WRITES: readonly Write[] = Object.freeze([])

export class Engine<Frame, Input extends string> implements Machine {
  readonly wire: Wire
  readonly maxPayload: number
  readonly connection: Connection<Input>

  readonly #role: Role<Frame, Input>
  readonly #decoder: FrameReader<Frame>
  readonly #unread = (): readonly Uint8Array[] => this.#decoder.unread()
  /** The first record has been judged. */
  #judged = false
  /** The peer has said something, of whatever kind. */
  #heard = false
  #hasMore = false

  constructor(role: Role<Frame, Input>, now: number) {
    this.wire = role.wire
    this.maxPayload = role.maxPayload
    this.connection = new Connection(role, now)
    this.#role = role
    this.#decoder = role.makeDecoder(this.connection.streams)
    role.begin?.(this.connection)
  }

  get flowControlled(): boolean {
    return this.connection.streams.flowControlled
  }

  get shaping(): boolean {
    return this.connection.channel.shaping
  }

  get pingable(): boolean {
    const role = this.#role
    const answers = role.ping !== undefined && (role.answersPings?.() ?? true)
    return answers && this.connection.negotiated
  }

  get lastAlive(): number {
    return this.connection.liveness.lastAlive
  }

  get hasMore(): boolean {
    return this.#hasMore
  }

  receive(chunk: Uint8Array, now: number): readonly MachineEvent[] {
    this.connection.channel.now = now
    if (chunk.length > 0) this.#heard = true
    this.#judge(chunk)
    this.#decoder.push(chunk)
    this.#decode(MAX_FRAMES_PER_CALL, MAX_OPENINGS_PER_CALL)
    if (this.connection.streams.wantsRoundTrip) this.ping(now)
    // Behind an empty chunk what waits was copied before.
    if (this.#hasMore && chunk.length > 0) this.#decoder.keep()
    return this.#settle()
  }

  endOfInput(now: number): readonly MachineEvent[] {
    const { connection } = this
    connection.channel.now = now
    this.#decode(Infinity, Infinity)
    this.#role.beforeEnd?.(connection)
    this.#checkDrained()
    const { negotiated } = connection
    const lost = connection.streams.size > 0 || !negotiated
    if (!connection.over && connection.tryMove('end-of-input')) {
      const noAnswer = negotiated ? undefined : this.#role.noAnswer?.(this.#heard)
      connection.closed(lost ? (noAnswer ?? new AnyTlsError('ERR_CONNECTION_LOST')) : undefined)
    }
    return this.#settle()
  }

  /** D14: the first record alone decides, whatever its length. */
  #judge(chunk: Uint8Array): void {
    const { gate } = this.#role
    if (gate === undefined || this.#judged || this.connection.over) return
    this.#judged = true
    if (gate.judge(chunk)) return
    this.connection.move(gate.mismatch)
    this.connection.handOver({ cause: 'auth-failed', unread: [chunk], error: undefined })
  }

  /** The gate, while the peer stands before it. */
  get #ahead(): Gate<Input> | undefined {
    return this.connection.atFirst ? this.#role.gate : undefined
  }

  #decode(maxFrames: number, maxOpenings: number): void {
    const { connection } = this
    const lastOpening = connection.openings + maxOpenings
    let frames = 0
    this.#hasMore = false
    try {
      while (!connection.over) {
        if (frames === maxFrames || connection.openings === lastOpening) {
          this.#hasMore = true
          break
        }
        const frame = this.#decoder.next()
        if (frame === undefined) break
        frames += 1
        this.#role.handle(connection, frame)
        this.#checkDrained()
        connection.liveness.alive(connection.now)
      }
    } catch (error) {
      // Codecs throw for bytes that break their rules, and only then.
      if (!(error instanceof AnyTlsError)) throw error
      this.#onViolation(error)
    }
  }

  /** What breaks the protocol goes to another owner: ahead of the gate as its table has it (D15), behind it where told so (D17). */
  #onViolation(error: AnyTlsError): void {
    const { connection } = this
    const isAhead = this.#ahead !== undefined
    const input = isAhead ? 'violation' : this.#role.gate?.violation
    if (input !== undefined && connection.tryMove(input)) {
      const cause = isAhead ? 'auth-failed' : 'violation'
      connection.handOver({ cause, unread: this.#unread(), error })
    } else {
      this.#role.violation(connection, error)
    }
  }

  timeout(now: number): readonly MachineEvent[] {
    const { connection } = this
    connection.channel.now = now
    if (!connection.over) {
      if (now >= this.#roleDeadline) this.#onRoleDue()
      if (now >= this.#idleDeadline) this.#expire('idle-timeout', 'ERR_CONNECTION_TIMEOUT')
      if (now >= connection.liveness.pingDeadline) this.#expire('ping-timeout', 'ERR_PING_TIMEOUT')
      if (now >= this.#keepaliveDeadline) this.ping(now)
      while (connection.streams.onDue());
    }
    return this.#settle()
  }

  #onRoleDue(): void {
    const { connection } = this
    const gate = this.#ahead
    if (gate === undefined) {
      this.#role.onDue?.(connection, this.#unread)
    } else {
      connection.move(gate.late)
      connection.handOver({ cause: 'auth-timeout', unread: this.#unread(), error: undefined })
    }
  }

  get deadline(): number {
    const { connection } = this
    if (connection.over) return Infinity
    return Math.min(
      this.#roleDeadline,
      this.#idleDeadline,
      connection.liveness.pingDeadline,
      this.#keepaliveDeadline,
      connection.streams.nextDue,
    )
  }

  #expire(input: 'idle-timeout' | 'ping-timeout', code: ErrorCode): void {
    const { connection } = this
    if (connection.over || !connection.tryMove(input)) return
    this.#role.goodbye?.(connection, CloseCode.Timeout)
    connection.closed(new AnyTlsError(code))
  }

  get #roleDeadline(): number {
    const gate = this.#ahead
    if (gate !== undefined) return this.connection.started + gate.limit
    return this.#role.deadline?.(this.connection) ?? Infinity
  }

  /** Before the connection speaks, the role's own timer rules. */
  get #idleDeadline(): number {
    const { connection } = this
    if (!this.#speaking) return Infinity
    return connection.liveness.idleDeadline(this.#role.idleLimit(connection))
  }

  get #keepaliveDeadline(): number {
    const { liveness, streams } = this.connection
    const keepsAlive = (streams.size > 0 || this.#role.pingsIdle) && this.pingable
    return keepsAlive ? liveness.keepaliveDeadline : Infinity
  }

  /** Whether frames of ours may be written. */
  get #speaking(): boolean {
    return !this.#role.mute.includes(this.connection.state)
  }

  get mayOpen(): boolean {
    return this.#role.mayOpen?.(this.connection) ?? false
  }

  openStream(now: number, request?: StreamRequest): number {
    const { connection } = this
    connection.channel.now = now
    const id = this.mayOpen ? this.#role.open?.(connection, request) : undefined
    if (id === undefined) throw connection.openError()
    return id
  }

  acceptStream(stream: number, now: number): void {
    this.connection.channel.now = now
    this.connection.streams.accept(stream)
  }

  credit(stream: number): number {
    return this.connection.streams.credit(stream)
  }

  sendData(stream: number, parts: readonly Uint8Array[], bytes: number, now: number): void {
    this.connection.channel.now = now
    this.connection.streams.sendData(stream, parts, bytes)
  }

  finishStream(stream: number, now: number): readonly MachineEvent[] {
    this.connection.channel.now = now
    this.connection.streams.finish(stream)
    return this.#settle()
  }

  resetStream(
    stream: number,
    code: CloseCode,
    reason: string,
    now: number,
  ): readonly MachineEvent[] {
    this.connection.channel.now = now
    this.connection.streams.reset(stream, code, reason)
    return this.#settle()
  }

  consumed(stream: number, bytes: number, now: number): void {
    this.connection.channel.now = now
    this.connection.streams.consumed(stream, bytes)
  }

  ping(now: number): boolean {
    const { connection } = this
    connection.channel.now = now
    if (connection.liveness.pinging || !this.pingable) return false
    connection.liveness.pingSent(now)
    this.#role.ping?.(connection)
    return true
  }

  close(now: number): readonly MachineEvent[] {
    const { connection } = this
    connection.channel.now = now
    if (!connection.over && !connection.draining && connection.tryMove('local-close')) {
      this.#onLocalClose()
    }
    return this.#settle()
  }

  #onLocalClose(): void {
    const { connection } = this
    if (connection.draining) {
      this.#role.goAway?.(connection)
      connection.tellDraining()
    } else {
      connection.closed(undefined)
    }
  }

  abort(code: CloseCode, now: number, reason?: string): readonly MachineEvent[] {
    const { connection } = this
    connection.channel.now = now
    const mayWrite = this.#speaking
    if (!connection.over && connection.tryMove('local-abort')) {
      if (mayWrite) this.#role.goodbye?.(connection, code, reason)
      connection.closed(undefined)
    }
    return this.#settle()
  }

  setReading(reading: boolean, now: number): void {
    this.connection.liveness.setReading(reading, now)
  }

  progress(now: number): void {
    this.connection.liveness.alive(now)
  }

  takeWrites(): readonly Write[] {
    // Whoever has the connection now must not find words of ours among its own.
    if (this.connection.state === 'handed-over') return NO_WRITES
    this.#role.beforeWrites?.(this.connection)
    return this.connection.channel.takeWrites()
  }

  /** Closes once the last stream of a draining connection has ended. */
  #checkDrained(): void {
    const { connection } = this
    if (connection.streams.size > 0 || !connection.draining) return
    if (!connection.tryMove('drained')) return
    this.#role.goodbye?.(connection, CloseCode.Graceful)
    connection.closed(undefined)
  }

  #settle(): readonly MachineEvent[] {
    this.#checkDrained()
    if (this.connection.over) {
      // Nothing that is still there is of interest, and chunks are lent.
      this.#hasMore = false
      this.#decoder.clear()
    }
    return this.connection.channel.takeEvents()
  }
}
