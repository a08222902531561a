// Two machines of one wire on a simulated link, with an application at each end of each stream, on a clock of
// its own. The applications check every byte that they get, and that no window is overrun.
import { expect } from 'vitest'
import type { Machine, MachineEvent, StreamRequest, Write } from '../../src/engine/machine.ts'
import type { RandomInt } from '../../src/shaping/shaper.ts'
import { seededRandomInt } from '../support/seeded-random.ts'
import { Link } from './link.ts'

export type Role = 'client' | 'server'

export const ROLES: readonly Role[] = ['client', 'server']

/** The other end. */
export function peerOf(role: Role): Role {
  return role === 'client' ? 'server' : 'client'
}

/** One end of one stream, as an application sees it. */
export interface End {
  readonly stream: number
  readonly openedHere: boolean
  /** Bytes that the application wants to send. */
  wanted: number
  sent: number
  received: number
  consumed: number
  /** The application has nothing more to send, beyond what is wanted. */
  finishing: boolean
  finished: boolean
  /** The peer has said that it sends no more. */
  ended: boolean
  closed: boolean
  /** The application that was asked for the stream has accepted it; at the opener: this has arrived. */
  accepted: boolean
  error: string | undefined
}

/** A machine that tells more than a session needs to know. */
export interface Simulated extends Machine {
  /** The name of its state. */
  readonly current: string
  readonly streamCount: number
}

export interface MuxWorldSetup<Client extends Simulated, Server extends Simulated> {
  readonly client: Client
  readonly server: Server
  /** Most bytes that a stream may have under way or unread, in one direction, once streams have credit. */
  readonly window: number
}

/** Most moves of one run: a run that needs more goes round in circles. */
const MAX_MOVES = 200_000

export class MuxWorld<Client extends Simulated, Server extends Simulated = Client> {
  readonly random: RandomInt
  readonly client: Client
  readonly server: Server
  readonly ends: Record<Role, Map<number, End>> = { client: new Map(), server: new Map() }
  readonly writes: Record<Role, Write[]> = { client: [], server: [] }
  readonly told: Record<Role, string[]> = { client: [], server: [] }
  now = 0
  readonly #links: Record<Role, Link>
  readonly #window: number
  /** Whose bytes have come to their end. */
  readonly #ended = new Set<Role>()
  #moves = 0

  constructor(seed: number, setup: MuxWorldSetup<Client, Server>) {
    this.random = seededRandomInt(seed)
    const delay = this.random(0, 300)
    this.#links = {
      client: new Link(this.random, delay),
      server: new Link(this.random, delay),
    }
    this.#window = setup.window
    this.client = setup.client
    this.server = setup.server
  }

  /** Streams have credit as far as that end knows. */
  flowControlled(role: Role): boolean {
    return this[role].flowControlled
  }

  /** Opens a stream; `request` is what a wire wants to know that carries one. */
  open(role: Role, request?: StreamRequest): End {
    const end = newEnd(this[role].openStream(this.now, request), true)
    this.ends[role].set(end.stream, end)
    return end
  }

  /** Lets the application accept a stream that its peer has opened. */
  accept(role: Role, end: End): void {
    if (end.openedHere || end.closed || end.accepted) return
    end.accepted = true
    this[role].acceptStream(end.stream, this.now)
  }

  reset(role: Role, end: End): void {
    if (end.closed) return
    end.closed = true
    end.error = 'own reset'
    this.handle(role, this[role].resetStream(end.stream, 6, 'enough', this.now))
  }

  consume(role: Role, end: End, bytes: number): void {
    end.consumed += bytes
    this[role].consumed(end.stream, bytes, this.now)
  }

  /** The ends of a role's streams that are not closed. */
  live(role: Role): End[] {
    return [...this.ends[role].values()].filter(({ closed }) => !closed)
  }

  /** Sends what credit allows, in Frames of random size, ends what is to be ended, and puts it on the link. */
  pump(): void {
    for (const role of ROLES) {
      for (const end of this.ends[role].values()) this.#pumpEnd(role, end)
      this.#transmit(role)
    }
    this.#endInput()
  }

  /** Lets time pass up to `until`, or until nothing more can happen. */
  run(until: number): void {
    this.pump()
    for (;;) {
      const next = this.#next()
      if (next > until || next === Infinity) break
      this.now = Math.max(this.now, next)
      this.#move()
      this.pump()
    }
    if (until !== Infinity) this.now = Math.max(this.now, until)
  }

  handle(role: Role, events: readonly MachineEvent[]): void {
    for (const event of events) {
      if (event.type === 'data') this.#onData(role, event.stream, event.data)
      else if ('stream' in event) this.#onStream(role, event)
      else this.#onConnection(role, event)
    }
  }

  get over(): boolean {
    return ROLES.every((role) => ['closed', 'handed-over'].includes(this[role].current))
  }

  #next(): number {
    const { client, server } = this.#links
    return Math.min(client.next, server.next, this.client.deadline, this.server.deadline)
  }

  #move(): void {
    this.#moves += 1
    if (this.#moves > MAX_MOVES) expect.fail('the connection goes round in circles')
    for (const role of ROLES) {
      const machine = this[role]
      const bytes = this.#links[peerOf(role)].receive(this.now)
      if (bytes !== undefined) this.handle(role, machine.receive(bytes, this.now))
      if (machine.deadline <= this.now) this.handle(role, machine.timeout(this.now))
    }
  }

  /** Whoever is closed ends its side of the connection once the last byte has arrived. */
  #endInput(): void {
    for (const role of ROLES) {
      const done = this.told[role].at(-1) === 'closed' && this.#links[role].next === Infinity
      if (!done || this.#ended.has(role)) continue
      this.#ended.add(role)
      const peer = peerOf(role)
      this.handle(peer, this[peer].endOfInput(this.now))
      this.#transmit(peer)
    }
  }

  #pumpEnd(role: Role, end: End): void {
    const machine = this[role]
    while (end.sent < end.wanted && !end.closed) {
      const most = Math.min(machine.credit(end.stream), machine.maxPayload, end.wanted - end.sent)
      if (most === 0) return
      const bytes = this.random(0, 4) === 0 ? most : this.random(1, most + 1)
      const data = content(role, end.stream, end.sent, bytes)
      end.sent += bytes
      this.#checkUnderWay(role, end)
      const half = this.random(0, bytes + 1)
      const parts = [data.subarray(0, half), data.subarray(half)]
      machine.sendData(end.stream, parts, bytes, this.now)
    }
    if (end.finishing && !end.finished && !end.closed) {
      end.finished = true
      this.handle(role, machine.finishStream(end.stream, this.now))
    }
  }

  /** Credit comes back for what was consumed: no more than a window can be between the two applications. */
  #checkUnderWay(role: Role, end: End): void {
    const consumed = this.ends[peerOf(role)].get(end.stream)?.consumed ?? 0
    if (this.flowControlled(role) && end.sent - consumed > this.#window) {
      expect.fail(`${role}: ${end.sent - consumed} bytes under way on stream ${end.stream}`)
    }
  }

  #transmit(role: Role): void {
    for (const write of this[role].takeWrites()) {
      this.writes[role].push(write)
      for (const part of write.parts) this.#links[role].send(part, this.now)
    }
  }

  #onData(role: Role, stream: number, data: Uint8Array): void {
    const end = this.#liveEnd(role, stream, 'data')
    if (end.ended) expect.fail(`${role}: data behind the end of stream ${stream}`)
    const expected = content(peerOf(role), stream, end.received, data.length)
    if (Buffer.compare(data, expected) !== 0) {
      expect.fail(`${role}: other bytes than were sent, stream ${stream}, byte ${end.received}`)
    }
    end.received += data.length
    const unread = end.received - end.consumed
    if (this.flowControlled(role) && unread > this.#window) {
      expect.fail(`${role}: ${unread} unread bytes on stream ${stream}`)
    }
  }

  #onStream(role: Role, event: Extract<MachineEvent, { stream: number }>): void {
    if (event.type === 'open') {
      this.ends[role].set(event.stream, newEnd(event.stream, false))
      return
    }
    const end = this.#liveEnd(role, event.stream, event.type)
    if (event.type === 'accept') end.accepted = true
    if (event.type === 'end') end.ended = true
    if (event.type === 'close') {
      end.closed = true
      end.error = event.error?.code
    }
  }

  #onConnection(role: Role, event: Exclude<MachineEvent, { stream: number }>): void {
    this.told[role].push(event.type)
    if (event.type !== 'closed') return
    if (event.error !== undefined) expect.fail(`${role}: ${event.error.message}`)
    for (const end of this.ends[role].values()) end.closed = true
  }

  #liveEnd(role: Role, stream: number, what: string): End {
    const end = this.ends[role].get(stream)
    if (end === undefined || end.closed) expect.fail(`${role}: ${what} on stream ${stream}`)
    return end
  }
}

function newEnd(stream: number, openedHere: boolean): End {
  return {
    stream,
    openedHere,
    wanted: 0,
    sent: 0,
    received: 0,
    consumed: 0,
    finishing: false,
    finished: false,
    ended: false,
    closed: false,
    accepted: false,
    error: undefined,
  }
}

// Every stream and direction has bytes of its own, and a period that no frame size divides.
const PERIOD = 251
const BYTES = Uint8Array.from({ length: 65_536 + 2 * PERIOD }, (_, index) => (index % PERIOD) + 1)

/** The bytes that `role` sends on a stream from `offset` on, at most 65,536. */
function content(role: Role, stream: number, offset: number, length: number): Uint8Array {
  const start = (offset + stream * 13 + (role === 'client' ? 0 : 101)) % PERIOD
  return BYTES.subarray(start, start + length)
}
