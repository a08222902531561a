// One of the client processes of bench/held.ts: sessions with streams that ask and are answered for as long as it lasts.
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../src/index.ts'
import type { Session, Stream } from '../src/index.ts'
import { encodeAddress } from '../src/codec/address.ts'
import { parseScheme } from '../src/shaping/scheme.ts'

/** What a client process is to do; times in milliseconds. */
export interface HeldOrder {
  readonly port: number
  readonly target: number
  readonly password: string
  readonly sessions: number
  readonly streams: number
  /** From one request on a stream to the next. */
  readonly period: number
  /** Bytes of a request, and of its answer. */
  readonly request: number
  readonly answer: number
  /** Requests on a stream before another takes its place. */
  readonly requests: number
  /** The padding scheme of what is sent at first, until the server sends its own. */
  readonly scheme: string
}

/** What happened since it was last asked. */
export interface HeldReport {
  readonly answered: number
  readonly bytes: number
  /** In milliseconds, of the requests that were answered. */
  readonly times: readonly number[]
  /** Sessions that ended, streams that failed, bytes that were others: there should be none. */
  readonly lost: readonly string[]
  readonly sessions: number
  readonly streams: number
}

let [answered, bytes, opened] = [0, 0, 0]
let times: number[] = []
let lost: string[] = []
const sessions = new Set<Session>()
let stopping = false
const isOver = (): boolean => stopping

process.on('message', (message: HeldOrder | 'report' | 'stop') => {
  if (message === 'report') report()
  else if (message === 'stop') void stop()
  else void start(message)
})

function report(): void {
  const said: HeldReport = {
    answered,
    bytes,
    times,
    lost,
    sessions: sessions.size,
    streams: opened,
  }
  ;[answered, bytes, times, lost] = [0, 0, [], []]
  process.send?.(said)
}

/** Sessions that are made at the same time. */
const AT_ONCE = 8

async function start(order: HeldOrder): Promise<void> {
  let left = order.sessions
  const openSome = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await openOne(order)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, openSome))
  // Only now: what is busy would slow down the rest.
  for (const session of sessions) {
    for (let count = 0; count < order.streams; count += 1) void keepBusy(session, order)
  }
  process.send?.('ready')
}

async function openOne({ port, password, scheme: text }: HeldOrder): Promise<void> {
  const scheme = parseScheme(text)
  const session = await connect({
    host: '127.0.0.1',
    port,
    password,
    insecure: true,
    // As many come at once as come to no server.
    connectTimeout: 60_000,
    scheme,
    schemeStore: { get: () => scheme, set: () => {} },
  })
  sessions.add(session)
  session.once('close', (error) => {
    sessions.delete(session)
    if (!isOver()) lost.push(`a session: ${String(error)}`)
  })
}

async function keepBusy(session: Session, order: HeldOrder): Promise<void> {
  const { period } = order
  // Not all at the same time.
  await sleep(Math.random() * period)
  // Nor do all streams of the beginning end at the same time.
  let requests = Math.ceil(Math.random() * order.requests)
  while (!isOver() && !session.closed) {
    try {
      await converse(session, order, requests)
      requests = order.requests
    } catch (error) {
      if (!isOver()) lost.push(`a stream: ${String(error)}`)
      await sleep(period)
    }
  }
}

async function converse(session: Session, order: HeldOrder, requests: number): Promise<void> {
  const { target, period, request, answer } = order
  const stream = session.openStream()
  opened += 1
  stream.on('error', () => {})
  stream.write(encodeAddress({ host: '127.0.0.1', port: target }))
  try {
    for (let count = 0; count < requests && !isOver(); count += 1) {
      const begun = performance.now()
      const mark = (begun * 1_000) & 0xff
      stream.write(Buffer.alloc(request, mark))
      let missing = answer
      while (missing > 0) {
        const chunk = stream.read() as Buffer | null
        if (chunk === null) {
          if (stream.destroyed) throw stream.errored ?? new Error('it closed')
          await news(stream)
          continue
        }
        if (chunk.some((byte) => byte !== mark)) lost.push('bytes that are others')
        missing -= chunk.length
      }
      if (missing < 0) lost.push('bytes too many')
      const took = performance.now() - begun
      times.push(took)
      answered += 1
      bytes += request + answer
      await sleep(Math.max(0, period - took))
    }
  } finally {
    opened -= 1
    stream.end()
    stream.resume()
  }
}

/** Resolves when there is something to read, or nothing more. */
function news(stream: Stream): Promise<void> {
  return new Promise((resolve) => {
    const come = (): void => {
      stream.off('readable', come).off('close', come)
      resolve()
    }
    stream.on('readable', come).on('close', come)
  })
}

async function stop(): Promise<void> {
  stopping = true
  for (const session of sessions) session.destroy()
  await sleep(100)
  process.exit(0)
}
