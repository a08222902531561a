// A client and a server machine on a simulated link, with an application at each end of each stream, on a
// clock of its own. The applications check every byte that they get.
// Must never use real time or a random source that is not seeded.
import { expect } from 'vitest'
import type { MachineEvent, Write } from '../../src/mux/machine.ts'
import type { RandomInt } from '../../src/shaping/shaper.ts'
import { makeClient, makeServer } from '../anytls/support.ts'
import type { Client, Server, ServerSetup, Setup } from '../anytls/support.ts'
import { seededRandomInt } from '../support/seeded-random.ts'
import { Link } from './link.ts'

export type Role = 'client' | 'server'

/** One end of one stream, as an application sees it. */
export interface End {
  readonly stream: number
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
  /** The server's application has accepted the stream; at the client: this has arrived. */
  accepted: boolean
  error: string | undefined
}

/**
 * Without streams nothing may have a deadline: what is left in the machine's heap would show. Streams have
 * all the time that their applications need.
 */
const TIMEOUTS = { connection: Infinity, streamOpen: 3_600_000, linger: 3_600_000 }

/** Most moves of one run: a run that needs more goes round in circles. */
const MAX_MOVES = 200_000

export class World {
  readonly random: RandomInt
  readonly client: Client
  readonly server: Server
  readonly ends: Record<Role, Map<number, End>> = { client: new Map(), server: new Map() }
  readonly writes: Record<Role, Write[]> = { client: [], server: [] }
  readonly told: Record<Role, string[]> = { client: [], server: [] }
  now = 0
  readonly #links: Record<Role, Link>
  readonly #window: number | undefined
  #moves = 0

  constructor(seed: number, setup: Setup, serverSetup: ServerSetup) {
    this.random = seededRandomInt(seed)
    const delay = this.random(0, 300)
    this.#links = {
      client: new Link(this.random, delay),
      server: new Link(this.random, delay),
    }
    this.#window = setup.mux1MaxWindow ?? setup.mux1Window
    this.client = makeClient({ ...setup, seed, timeouts: TIMEOUTS })
    this.server = makeServer({ ...serverSetup, seed, timeouts: TIMEOUTS })
  }

  /** mux1 is negotiated as far as that end knows. */
  flowControlled(role: Role): boolean {
    return this[role].flowControlled
  }

  open(): End {
    const stream = this.client.openStream(this.now)
    const end = newEnd(stream)
    this.ends.client.set(stream, end)
    return end
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

  /** Sends what credit allows, in Frames of random size, ends what is to be ended, and puts it on the link. */
  pump(): void {
    for (const role of ['client', 'server'] as const) {
      for (const end of this.ends[role].values()) this.#pumpEnd(role, end)
      this.#transmit(role)
    }
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
    return this.#isClosed('client') && this.#isClosed('server')
  }

  #isClosed(role: Role): boolean {
    return ['closed', 'handed-over'].includes(this[role].current)
  }

  #next(): number {
    const { client, server } = this.#links
    return Math.min(client.next, server.next, this.client.deadline, this.server.deadline)
  }

  #move(): void {
    this.#moves += 1
    if (this.#moves > MAX_MOVES) expect.fail('the connection goes round in circles')
    for (const role of ['client', 'server'] as const) {
      const machine = this[role]
      const peer = role === 'client' ? 'server' : 'client'
      const bytes = this.#links[peer].receive(this.now)
      if (bytes !== undefined) this.handle(role, machine.receive(bytes, this.now))
      if (machine.deadline <= this.now) this.handle(role, machine.timeout(this.now))
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
      const half = this.random(0, bytes + 1)
      const parts = [data.subarray(0, half), data.subarray(half)]
      machine.sendData(end.stream, parts, bytes, this.now)
    }
    if (end.finishing && !end.finished && !end.closed) {
      end.finished = true
      this.handle(role, machine.finishStream(end.stream, this.now))
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
    const peer = role === 'client' ? 'server' : 'client'
    const expected = content(peer, stream, end.received, data.length)
    if (Buffer.compare(data, expected) !== 0) {
      expect.fail(`${role}: other bytes than were sent, stream ${stream}, byte ${end.received}`)
    }
    end.received += data.length
    const unread = end.received - end.consumed
    if (this.flowControlled(role) && unread > (this.#window ?? 0)) {
      expect.fail(`${role}: ${unread} unread bytes on stream ${stream}`)
    }
  }

  #onStream(role: Role, event: Extract<MachineEvent, { stream: number }>): void {
    if (event.type === 'open') {
      this.ends.server.set(event.stream, newEnd(event.stream))
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

function newEnd(stream: number): End {
  return {
    stream,
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
export function content(role: Role, stream: number, offset: number, length: number): Uint8Array {
  const start = (offset + stream * 13 + (role === 'client' ? 0 : 101)) % PERIOD
  return BYTES.subarray(start, start + length)
}
