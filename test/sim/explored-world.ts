// Two machines of one wire on a link that delivers piece by piece, with applications that can do everything, one
// move at a time; and what must hold in every state.
import type { Machine, MachineEvent, StreamRequest, Write } from '../../src/engine/machine.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { peerOf, ROLES } from './mux-world.ts'
import type { Role } from './mux-world.ts'

export interface ExploredWire {
  readonly name: string
  /** Both ends, fresh, at 0 ms, without a deadline that is not the role's own. */
  readonly make: () => Record<Role, Machine>
  /** Half of a window, in bytes: what is sent and consumed at once. */
  readonly unit: number
  readonly openers: readonly Role[]
  /** The peer hears that one direction has ended. */
  readonly halfClose: boolean
  /** A server that drains in time serves every stream that was opened before its client heard of it. */
  readonly servesUnderWay?: boolean
  /** What streams are opened with, on a wire that carries it. */
  readonly request?: StreamRequest
}

/** How much may happen on one connection. */
export interface Bounds {
  readonly streams: number
  /** What either end sends on a stream, in units: more than two need credit to come back. */
  readonly units: Readonly<Record<Role, number>>
  readonly resets: number
  /** By each end. */
  readonly pings: number
}

export interface Action {
  readonly role: Role
  readonly kind:
    | 'open'
    | 'send'
    | 'consume'
    | 'accept'
    | 'finish'
    | 'reset'
    | 'ping'
    | 'close'
    | 'abort'
    | 'timer'
    | 'deliver'
    | 'lose'
  /** 0 for what is no stream's. */
  readonly stream: number
}

export class ExploreError extends Error {}

/** One end of one stream, as an application sees it. */
interface End {
  readonly openedHere: boolean
  sent: number
  received: number
  consumed: number
  accepted: boolean
  finished: boolean
  ended: boolean
  closed: boolean
  /** It did not run to its end: reset, refused, or cut off with the connection. */
  cut: boolean
}

/** One piece on the link, and what tells it from others. */
interface Piece {
  readonly bytes: Uint8Array
  readonly mark: number
}

/** What one end has been told and has done, apart from its streams. */
interface Side {
  established: boolean
  draining: boolean
  over: boolean
  closeAsked: boolean
  /** It was out of patience, with whatever it waited for. */
  timedOut: boolean
  pings: number
  pongs: number
}

/** Below this many bytes a Write is one piece; a larger one is as many as it has parts, so that nothing is copied. */
const SMALL = 1_024
/** What nobody who keeps to the protocol can hear from a peer who does. */
const ACCUSATIONS = ['ERR_PROTOCOL_VIOLATION', 'ERR_ALERT_RECEIVED', 'ERR_VERSION_UNSUPPORTED']
const MOST_ROUNDS = 1_000

export class ExploredWorld {
  readonly #wire: ExploredWire
  readonly #bounds: Bounds
  readonly #machines: Record<Role, Machine>
  /** What each end has sent and the other has not received. */
  readonly #queues: Record<Role, Piece[]> = { client: [], server: [] }
  readonly #ends: Record<Role, Map<number, End>> = { client: new Map(), server: new Map() }
  readonly #sides: Record<Role, Side> = { client: newSide(), server: newSide() }
  #now = 0
  #opened = 0
  #resets = 0
  /** Where the wire knows no half-close: streams whose server ended them, which cuts what is on its way there. */
  readonly #cutShort = new Set<number>()

  constructor(wire: ExploredWire, bounds: Bounds) {
    this.#wire = wire
    this.#bounds = bounds
    this.#machines = wire.make()
    this.#transmit()
  }

  /** What can happen now. */
  actions(): Action[] {
    const list: Action[] = []
    for (const role of ROLES) {
      const side = this.#sides[role]
      const machine = this.#machines[role]
      if (side.over) continue
      const add = (kind: Action['kind'], stream = 0) => list.push(action(role, kind, stream))
      if (this.#mayOpen(role)) add('open')
      for (const [stream, end] of this.#ends[role]) {
        if (end.closed) continue
        if (this.#maySend(role, stream, end)) add('send', stream)
        if (end.received > end.consumed) add('consume', stream)
        if (!end.openedHere && !end.accepted) add('accept', stream)
        if (!end.finished) add('finish', stream)
        if (this.#resets < this.#bounds.resets) add('reset', stream)
      }
      if (side.pings < this.#bounds.pings && side.pings === side.pongs && machine.pingable)
        add('ping')
      if (!side.closeAsked) add('close')
      add('abort')
      if (machine.deadline !== Infinity) add('timer')
      if (this.#mayDeliver(role)) add('deliver')
    }
    if (list.length > 0) list.push(action('client', 'lose', 0))
    return list
  }

  apply({ role, kind, stream }: Action): void {
    const machine = this.#machines[role]
    const end = this.#ends[role].get(stream)
    switch (kind) {
      case 'open': {
        const id = machine.openStream(this.#now, this.#wire.request)
        if (this.#ends[role].has(id)) fail(`stream ${id} twice`)
        this.#ends[role].set(id, newEnd(true))
        this.#opened += 1
        break
      }
      case 'send':
        if (end !== undefined) this.#send(role, stream, end)
        break
      case 'consume':
        if (end !== undefined) {
          const bytes = Math.min(this.#wire.unit, end.received - end.consumed)
          end.consumed += bytes
          machine.consumed(stream, bytes, this.#now)
        }
        break
      case 'accept':
        if (end !== undefined) end.accepted = true
        machine.acceptStream(stream, this.#now)
        break
      case 'finish':
        if (end !== undefined) end.finished = true
        if (role === 'server' && !this.#wire.halfClose) this.#cutShort.add(stream)
        this.#handle(role, machine.finishStream(stream, this.#now))
        break
      case 'reset':
        this.#resets += 1
        if (end !== undefined) this.#cut(end)
        this.#handle(role, machine.resetStream(stream, 6, 'enough', this.#now))
        break
      case 'ping':
        if (machine.ping(this.#now)) this.#sides[role].pings += 1
        break
      case 'close':
        this.#sides[role].closeAsked = true
        this.#handle(role, machine.close(this.#now))
        break
      case 'abort':
        this.#handle(role, machine.abort(2, this.#now))
        break
      case 'timer':
        this.#sides[role].timedOut = true
        this.#now = Math.max(this.#now, machine.deadline)
        this.#handle(role, machine.timeout(this.#now))
        break
      case 'deliver':
        this.#deliver(role)
        break
      case 'lose':
        for (const each of ROLES) this.#queues[each].length = 0
        for (const each of ROLES) this.#handle(each, this.#machines[each].endOfInput(this.#now))
        for (const each of ROLES) if (!this.#sides[each].over) fail(`${each} survives its link`)
        break
    }
    this.#transmit()
  }

  /** What the state looks like from outside, as a number of 53 bits. */
  key(): number {
    const words: number[] = [this.#opened, this.#resets]
    for (const role of ROLES) {
      const machine = this.#machines[role]
      const side = this.#sides[role]
      const { established, draining, over, closeAsked, timedOut } = side
      words.push(bits([established, draining, over, closeAsked, timedOut]))
      words.push(side.pings, side.pongs, side.over || machine.deadline === Infinity ? 0 : 1)
      words.push(bits([machine.mayOpen, machine.pingable, machine.flowControlled]))
      for (const [stream, end] of this.#ends[role]) {
        words.push(stream, end.sent, end.received, end.consumed, machine.credit(stream))
        words.push(bits([end.accepted, end.finished, end.ended, end.closed, end.cut]))
      }
      words.push(-1)
      for (const { mark } of this.#queues[role]) words.push(mark)
      words.push(-2)
    }
    for (const stream of [...this.#cutShort].sort()) words.push(stream)
    return hash53(words)
  }

  /**
   * From here on everybody accepts, sends what is left, reads, ends, and closes: all of it must come to its end.
   *
   * @throws ExploreError
   */
  windDown(): void {
    this.#settle()
    this.#rounds(() => {
      let moved = false
      for (const { role, stream, end } of this.#live()) {
        if (!end.openedHere && !end.accepted) moved = this.#do(role, 'accept', stream)
        if (this.#maySend(role, stream, end)) moved = this.#do(role, 'send', stream)
        if (!end.closed && end.received > end.consumed) moved = this.#do(role, 'consume', stream)
      }
      this.#settle()
      return moved
    })
    this.#checkCredit()
    for (const role of ROLES) {
      for (const { stream, end, role: of } of this.#live()) {
        if (of === role && !end.finished && !end.closed) {
          end.finished = true
          this.#handle(role, this.#machines[role].finishStream(stream, this.#now))
        }
      }
      this.#transmit()
      this.#settle()
    }
    for (const { role, stream } of this.#live()) fail(`${role}: stream ${stream} has no end`)
    this.#checkConserved()
    if (!this.#sides.client.over && !this.#sides.client.closeAsked) this.#do('client', 'close', 0)
    this.#settle()
    for (const role of ROLES) {
      if (!this.#sides[role].over) fail(`${role}: the connection has no end`)
      if (this.#machines[role].deadline !== Infinity) fail(`${role}: a timer runs behind the end`)
    }
  }

  /** What arrives, arrives, and timers run, until nothing moves. */
  #settle(): void {
    this.#rounds(() => {
      let moved = false
      for (const role of ROLES) {
        if (this.#mayDeliver(role)) moved = this.#do(role, 'deliver', 0)
        else if (!this.#sides[role].over && this.#machines[role].deadline !== Infinity) {
          moved = this.#do(role, 'timer', 0)
        }
      }
      return moved
    })
  }

  #rounds(round: () => boolean): void {
    for (let count = 0; round(); count += 1) {
      if (count > MOST_ROUNDS) fail('goes round in circles')
    }
  }

  #do(role: Role, kind: Action['kind'], stream: number): true {
    this.apply({ role, kind, stream })
    return true
  }

  #live(): { role: Role; stream: number; end: End }[] {
    return ROLES.flatMap((role) =>
      [...this.#ends[role]]
        .filter(([, { closed }]) => !closed)
        .map(([stream, end]) => ({ role, stream, end })),
    )
  }

  /** Everything has been read: whoever may still send has all its credit, and has sent all that it wanted. */
  #checkCredit(): void {
    for (const { role, stream, end } of this.#live()) {
      if (end.finished) continue
      const peer = this.#ends[peerOf(role)].get(stream)
      if (peer === undefined || peer.closed) fail(`${role}: stream ${stream} is there alone`)
      if (end.sent < this.#wanted(role)) fail(`${role}: stream ${stream} stands still`)
      const machine = this.#machines[role]
      const credit = machine.credit(stream)
      if (machine.flowControlled && credit !== 2 * this.#wire.unit) {
        fail(`${role}: ${credit} bytes of credit on stream ${stream} with everything read`)
      }
    }
  }

  /** What ran to its end arrived whole; what did not, as a beginning: {@link #onData} has compared the bytes. */
  #checkConserved(): void {
    for (const role of ROLES) {
      for (const [stream, end] of this.#ends[role]) {
        const peer = this.#ends[peerOf(role)].get(stream)
        const received = peer?.received ?? 0
        if (received > end.sent) fail(`${role}: more arrived on stream ${stream} than was sent`)
        if (end.cut || peer?.cut === true) continue
        if (role === 'client' && this.#cutShort.has(stream)) continue
        if (peer === undefined) fail(`${role}: stream ${stream} ended well and never arrived`)
        if (received < end.sent)
          fail(`${role}: ${end.sent - received} bytes of stream ${stream} lost`)
      }
    }
  }

  #mayOpen(role: Role): boolean {
    const { openers } = this.#wire
    return (
      openers.includes(role) && this.#opened < this.#bounds.streams && this.#machines[role].mayOpen
    )
  }

  #wanted(role: Role): number {
    return this.#bounds.units[role] * this.#wire.unit
  }

  #maySend(role: Role, stream: number, end: End): boolean {
    if (end.closed || end.finished || end.sent >= this.#wanted(role)) return false
    return this.#machines[role].credit(stream) >= this.#wire.unit
  }

  /** There is a piece for `role`, or the end of its input. */
  #mayDeliver(role: Role): boolean {
    const peer = peerOf(role)
    return !this.#sides[role].over && (this.#queues[peer].length > 0 || this.#sides[peer].over)
  }

  #deliver(role: Role): void {
    const machine = this.#machines[role]
    const piece = this.#queues[peerOf(role)].shift()
    if (piece === undefined) this.#handle(role, machine.endOfInput(this.#now))
    else this.#handle(role, machine.receive(piece.bytes, this.#now))
  }

  #send(role: Role, stream: number, end: End): void {
    const { unit } = this.#wire
    const data = content(role, stream, end.sent / unit, unit)
    end.sent += unit
    for (let offset = 0; offset < unit; offset += this.#machines[role].maxPayload) {
      const part = data.subarray(offset, offset + this.#machines[role].maxPayload)
      this.#machines[role].sendData(stream, [part], part.length, this.#now)
    }
  }

  #transmit(): void {
    for (const role of ROLES) {
      const writes = this.#machines[role].takeWrites()
      if (this.#sides[peerOf(role)].over) this.#queues[role].length = 0
      else for (const write of writes) this.#queues[role].push(...piecesOf(write))
    }
  }

  #handle(role: Role, events: readonly MachineEvent[]): void {
    const side = this.#sides[role]
    for (const event of events) {
      if (side.over) fail(`${role}: ${event.type} behind the end`)
      if (event.type === 'handover') fail(`${role}: handed over`)
      if ('stream' in event) this.#onStream(role, event)
      else if (event.type === 'closed') {
        accuse(role, event.error)
        side.over = true
        for (const end of this.#ends[role].values()) if (!end.closed) this.#cut(end)
      } else if (event.type === 'established') {
        if (side.established) fail(`${role}: established twice`)
        side.established = true
      } else if (event.type === 'draining') side.draining = true
      else if (event.type === 'pong') side.pongs += 1
    }
  }

  #onStream(role: Role, event: Extract<MachineEvent, { stream: number }>): void {
    const { stream } = event
    if (event.type === 'open') {
      if (this.#ends[role].has(stream)) fail(`${role}: stream ${stream} opened twice`)
      this.#ends[role].set(stream, newEnd(false))
      return
    }
    const end = this.#ends[role].get(stream)
    if (end === undefined || end.closed)
      fail(`${role}: ${event.type} on stream ${stream}, not open`)
    switch (event.type) {
      case 'data':
        this.#onData(role, stream, end, event.data)
        break
      case 'accept':
        if (end.accepted) fail(`${role}: stream ${stream} accepted twice`)
        end.accepted = true
        break
      case 'end':
        if (end.ended) fail(`${role}: stream ${stream} ended twice`)
        end.ended = true
        break
      case 'close':
        accuse(role, event.error)
        if (this.#wire.servesUnderWay === true && !this.#sides.server.timedOut) {
          const refused = /stopping|DRAINING/.test(`${event.error?.code} ${event.error?.message}`)
          if (refused) fail(`${role}: stream ${stream} refused by a server that drains in time`)
        }
        end.closed = true
        if (event.error !== undefined) end.cut = true
        break
      case 'credit':
        break
    }
  }

  #onData(role: Role, stream: number, end: End, data: Uint8Array): void {
    const { unit } = this.#wire
    const sender = peerOf(role)
    if (end.ended) fail(`${role}: data behind the end of stream ${stream}`)
    // The first, the last and one in the middle: every unit has bytes of its own.
    for (const at of [0, data.length >> 1, data.length - 1]) {
      const offset = end.received + at
      const expected = content(sender, stream, Math.floor(offset / unit), unit)[offset % unit]
      if (data[at] !== expected) fail(`${role}: other bytes than were sent on stream ${stream}`)
    }
    end.received += data.length
    const sent = this.#ends[sender].get(stream)?.sent ?? 0
    if (end.received > sent) fail(`${role}: more bytes than were sent on stream ${stream}`)
    if (this.#machines[role].flowControlled && end.received - end.consumed > 2 * unit) {
      fail(`${role}: more than a window unread on stream ${stream}`)
    }
  }

  #cut(end: End): void {
    end.closed = true
    end.cut = true
  }
}

function accuse(
  role: Role,
  error: { readonly code: string; readonly message: string } | undefined,
): void {
  if (error !== undefined && ACCUSATIONS.includes(error.code)) fail(`${role}: ${error.message}`)
}

function fail(message: string): never {
  throw new ExploreError(message)
}

const ACTIONS = new Map<string, Action>()

/** Always the same object for the same: every state that is remembered has a list of them. */
function action(role: Role, kind: Action['kind'], stream: number): Action {
  const name = `${role} ${kind} ${stream}`
  let made = ACTIONS.get(name)
  if (made === undefined) ACTIONS.set(name, (made = { role, kind, stream }))
  return made
}

function newSide(): Side {
  return {
    established: false,
    draining: false,
    over: false,
    closeAsked: false,
    timedOut: false,
    pings: 0,
    pongs: 0,
  }
}

function newEnd(openedHere: boolean): End {
  const none = { accepted: false, finished: false, ended: false, closed: false, cut: false }
  return { openedHere, sent: 0, received: 0, consumed: 0, ...none }
}

function piecesOf({ parts, bytes }: Write): Piece[] {
  const pieces = bytes < SMALL ? [concatBytes(parts)] : parts.filter(({ length }) => length > 0)
  return pieces.map((piece) => ({ bytes: piece, mark: markOf(piece) }))
}

/** What tells pieces apart; of long ones the beginning, which numbers them. */
function markOf(bytes: Uint8Array): number {
  let mark = bytes.length
  const most = Math.min(bytes.length, 64)
  for (let at = 0; at < most; at += 1) mark = Math.imul(mark ^ (bytes[at] ?? 0), 0x01000193)
  return mark >>> 0
}

const CONTENTS = new Map<string, Uint8Array>()

/** The bytes of one unit: it begins with its number, and has a period that nothing divides. */
function content(role: Role, stream: number, index: number, unit: number): Uint8Array {
  const name = `${role} ${stream} ${index} ${unit}`
  let bytes = CONTENTS.get(name)
  if (bytes === undefined) {
    const start = 1 + index + 16 * stream + (role === 'client' ? 0 : 128)
    bytes = Uint8Array.from({ length: unit }, (_, at) => (start + (at % 251)) % 256)
    CONTENTS.set(name, bytes)
  }
  return bytes
}

function bits(flags: readonly boolean[]): number {
  return flags.reduce((sum, flag) => 2 * sum + (flag ? 1 : 0), 0)
}

/** Two hashes of 32 bits, mixed into what a number holds: two of a million states meet once in ten thousand runs. */
function hash53(words: readonly number[]): number {
  let high = 0x9e3779b9
  let low = 0x85ebca6b
  for (const word of words) {
    // Numbers above 32 bits, such as unlimited credit, count with both halves.
    const folded = (word | 0) ^ Math.floor(word / 0x1_0000_0000)
    high = Math.imul(high ^ folded, 0x01000193)
    high ^= high >>> 15
    low = Math.imul(low + folded, 0x5bd1e995)
    low ^= low >>> 13
  }
  return (high >>> 11) * 0x1_0000_0000 + (low >>> 0)
}
