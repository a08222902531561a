// Programs that speak through clients to a target, and check each byte: what was said, what has come, by user and by the
// process that carried it.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RandomInt } from '../../../src/shaping/shaper.ts'

/** Of a prime length: what is out of its place by any round number of bytes differs. */
const PATTERN = randomBytes(1_048_573)
/** What comes back begins elsewhere in it. */
const ANSWERS_AT = 500_009
/** Where the pattern begins, rounds, bytes up and down a round, whose it is: four bytes each. */
const HEAD = 20

/** After so long a program gives up, in milliseconds. */
const PATIENCE = 6_000
/** How far back the target remembers who carried what, in milliseconds. */
const REMEMBERED = 5_000
/** A program waits so long before the next request, in milliseconds. */
const THINKING = 30

export interface Sum {
  up: number
  down: number
}

/** What a user's programs and the target have said and got, in bytes. */
export interface Account {
  /** Got at the other end: so much must have been counted. */
  readonly delivered: Sum
  /** Given to a socket: more cannot have been counted. */
  readonly said: Sum
}

/** A request that failed. */
export interface Failure {
  readonly begun: number
  readonly at: number
  readonly problem: string
}

/** One after the other, for as long as the traffic runs. */
export interface Loop {
  readonly user: number
  /** The begin of the first request in a row that failed. */
  failing: number | undefined
  /** When the last one that was answered had begun. */
  answered: number
}

interface Carried {
  readonly at: number
  readonly owner: number | undefined
  readonly user: number
  readonly up: number
  readonly down: number
}

interface Plan {
  readonly at: number
  readonly rounds: number
  readonly up: number
  readonly down: number
  /** Between rounds, in milliseconds. */
  readonly pause: number
}

export interface TrafficOptions {
  /** The port of the client of each user. */
  readonly proxies: readonly number[]
  /** How many programs of each user make requests. */
  readonly loops: number
  readonly random: RandomInt
  /** Whose the connection is that comes to the target from this port. */
  readonly ownerOf: (port: number) => Promise<number | undefined>
}

export class Traffic {
  readonly accounts: readonly Account[]
  readonly loops: Loop[] = []
  readonly failures: Failure[] = []
  /** How long requests took, or were not to be had, with when that began, in milliseconds. */
  readonly waits: { readonly begun: number; readonly ms: number }[] = []
  /** Bytes that were not what had been sent. */
  wrong = 0
  answered = 0
  /** Tunnels that ended before their time, in the middle of what they carried. */
  cut = 0
  readonly #options: TrafficOptions
  readonly #target = createServer({ allowHalfOpen: true }, (socket) => void this.#serve(socket))
  #port = 0
  #carried: Carried[] = []
  #running: Promise<unknown>[] = []
  #stopped = false

  constructor(options: TrafficOptions) {
    this.#options = options
    this.accounts = options.proxies.map(() => ({
      delivered: { up: 0, down: 0 },
      said: { up: 0, down: 0 },
    }))
  }

  /** @returns the port of the target */
  async listen(): Promise<number> {
    this.#target.listen(0, '127.0.0.1')
    await once(this.#target, 'listening')
    return (this.#port = (this.#target.address() as AddressInfo).port)
  }

  start(): void {
    for (const user of this.#options.proxies.keys()) {
      for (let count = 0; count < this.#options.loops; count += 1) {
        const loop: Loop = { user, failing: undefined, answered: 0 }
        this.loops.push(loop)
        this.#running.push(this.#repeat(loop))
      }
      this.#running.push(this.#keepStreaming(user))
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
  }

  close(): void {
    this.#target.close()
  }

  /** Who has carried something in the last seconds. */
  carriers(): ReadonlySet<number> {
    const since = performance.now() - REMEMBERED
    const lately = this.#carried.filter(({ at }) => at >= since)
    return new Set(lately.flatMap(({ owner }) => owner ?? []))
  }

  /** What the processes have carried in the last five seconds, by user. Of whom nobody knows what it carried counts, too. */
  carriedLately(processes: ReadonlySet<number>): readonly Sum[] {
    const since = performance.now() - REMEMBERED
    const sums = this.accounts.map(() => ({ up: 0, down: 0 }))
    for (const { at, owner, user, up, down } of this.#carried) {
      const sum = sums[user]
      if (at < since || sum === undefined) continue
      if (owner !== undefined && !processes.has(owner)) continue
      sum.up += up
      sum.down += down
    }
    return sums
  }

  /** Resolves when each loop has had an answer to a request that began after `moment`. */
  async answeredSince(moment: number): Promise<void> {
    while (!this.#stopped && this.loops.some(({ answered }) => answered < moment)) await sleep(10)
  }

  async #repeat(loop: Loop): Promise<void> {
    const { random } = this.#options
    while (!this.#stopped) {
      const begun = performance.now()
      const isLarge = random(0, 10) === 0
      const plan = {
        at: random(0, PATTERN.length),
        rounds: random(1, 8),
        up: random(1, isLarge ? 65_536 : 4_096),
        down: random(1, isLarge ? 131_072 : 16_384),
        pause: 0,
      }
      try {
        await this.#request(loop.user, plan, PATIENCE)
        const now = performance.now()
        this.answered += 1
        const first = loop.failing ?? begun
        this.waits.push({ begun: first, ms: now - first })
        loop.failing = undefined
        loop.answered = begun
        await sleep(THINKING)
      } catch (error) {
        this.failures.push({ begun, at: performance.now(), problem: String(error) })
        loop.failing ??= begun
        await sleep(20)
      }
    }
  }

  /** A tunnel that stands for long, and says a little now and then. */
  async #keepStreaming(user: number): Promise<void> {
    const { random } = this.#options
    while (!this.#stopped) {
      const plan = { at: random(0, PATTERN.length), rounds: 300, up: 700, down: 3_000, pause: 50 }
      await this.#request(user, plan, Infinity).catch(() => sleep(100))
    }
  }

  async #request(user: number, plan: Plan, patience: number): Promise<void> {
    const socket = await connectThrough(this.#options.proxies[user] ?? 0, this.#port)
    const { said, delivered } = this.accounts[user]!
    const end = performance.now() + patience
    let timer = setTimeout(() => {})
    const reader = new Reader(socket, (bytes) => (delivered.down += bytes))
    try {
      const head = Buffer.alloc(HEAD)
      for (const [index, value] of [plan.at, plan.rounds, plan.up, plan.down, user].entries()) {
        head.writeUInt32BE(value, index * 4)
      }
      said.up += HEAD
      socket.write(head)
      for (let round = 0; round < plan.rounds && !this.#stopped; round += 1) {
        clearTimeout(timer)
        const wait = Math.min(PATIENCE, end - performance.now())
        timer = setTimeout(() => socket.destroy(new Error(`no answer in ${wait} ms`)), wait)
        said.up += plan.up
        socket.write(piece(plan.at + round * plan.up, plan.up))
        const answer = await reader.read(plan.down)
        this.#check(answer, plan.at + ANSWERS_AT + round * plan.down)
        if (plan.pause > 0) await sleep(plan.pause)
      }
      socket.end()
      await reader.ended
    } catch (error) {
      this.cut += 1
      throw error
    } finally {
      clearTimeout(timer)
      socket.destroy()
    }
  }

  async #serve(socket: Socket): Promise<void> {
    let account: Account | undefined
    let early = 0
    const reader = new Reader(socket, (bytes) => {
      if (account === undefined) early += bytes
      else account.delivered.up += bytes
    })
    try {
      // Who carried it is known before anything is said: whoever is killed has carried it.
      const owner = await this.#options.ownerOf(socket.remotePort ?? 0)
      const head = await reader.read(HEAD)
      const [at = 0, rounds = 0, up = 0, down = 0, user = 0] = Array.from(
        { length: 5 },
        (_, index) => head.readUInt32BE(index * 4),
      )
      account = this.accounts[user]
      if (account === undefined) throw new Error('nobody’s')
      account.delivered.up += early
      for (let round = 0; round < rounds; round += 1) {
        this.#check(await reader.read(up), at + round * up)
        account.said.down += down
        socket.write(piece(at + ANSWERS_AT + round * down, down))
        this.#remember({ at: performance.now(), owner, user, up, down })
      }
      await reader.ended
      socket.end()
    } catch {
      // The program tells.
      socket.destroy()
    }
  }

  #remember(carried: Carried): void {
    this.#carried.push(carried)
    if (this.#carried.length < 10_000) return
    const since = performance.now() - REMEMBERED
    this.#carried = this.#carried.filter(({ at }) => at >= since)
  }

  #check(bytes: Buffer, at: number): void {
    if (!bytes.equals(piece(at, bytes.length))) this.wrong += bytes.length
  }
}

/** So many bytes of the pattern. */
function piece(at: number, length: number): Buffer {
  const begin = at % PATTERN.length
  const end = begin + length
  if (end <= PATTERN.length) return PATTERN.subarray(begin, end)
  return Buffer.concat([PATTERN.subarray(begin), PATTERN.subarray(0, end - PATTERN.length)])
}

/** Reads so many bytes at a time. */
class Reader {
  readonly ended: Promise<void>
  #chunks: Buffer[] = []
  #length = 0
  #over: Error | undefined
  #wake = (): void => {}

  /** @param count told of what has come */
  constructor(socket: Socket, count: (bytes: number) => void) {
    let isOver = (): void => {}
    this.ended = new Promise((resolve) => (isOver = resolve))
    socket.on('data', (chunk: Buffer) => {
      count(chunk.length)
      this.#chunks.push(chunk)
      this.#length += chunk.length
      this.#wake()
    })
    const end = (error: Error): void => {
      this.#over ??= error
      isOver()
      this.#wake()
    }
    socket.on('end', () => end(new Error('it ended before its time')))
    socket.on('error', end)
    socket.on('close', () => end(new Error('it closed before its time')))
  }

  async read(length: number): Promise<Buffer> {
    while (this.#length < length) {
      if (this.#over !== undefined) throw this.#over
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    const all = Buffer.concat(this.#chunks)
    this.#length -= length
    this.#chunks = this.#length === 0 ? [] : [all.subarray(length)]
    return all.subarray(0, length)
  }
}

async function connectThrough(proxy: number, target: number): Promise<Socket> {
  const request = http.request({
    host: '127.0.0.1',
    port: proxy,
    method: 'CONNECT',
    path: `127.0.0.1:${target}`,
    agent: false,
  })
  const timer = setTimeout(
    () => request.destroy(new Error(`no tunnel in ${PATIENCE} ms`)),
    PATIENCE,
  )
  request.once('close', () => clearTimeout(timer)).end()
  const [response, socket, head] = (await once(request, 'connect')) as [
    http.IncomingMessage,
    Socket,
    Buffer,
  ]
  clearTimeout(timer)
  if (response.statusCode === 200 && head.length === 0) return socket
  socket.destroy()
  throw new Error(`status ${response.statusCode}`)
}
