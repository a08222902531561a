// Eight downloads on one connection, one of which is not read any more: on every wire with credit the seven
// others do not feel it. On the original wire, which has none, they wait until it is cut.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { muxProClient, muxProServer } from '../../src/session/muxpro.ts'
import { netMuxClient, netMuxServer } from '../../src/session/netmux.ts'
import { closing, listen, sha256 } from '../proxy/support.ts'
import { startEchoServer } from '../support/server.ts'

const MIB = 1 << 20
const FILE = randomBytes(4 * MIB)
const DIGEST = sha256(FILE)
const CHUNK = 65_536
const SHORT = '!'
const LONG = '?'
const SIBLINGS = 7
const ROUNDS = 7

/** One connection to a server that sends {@link FILE} down every stream. */
interface Downloads {
  openStream(): Stream
  destroy(): void
}

type Connect = () => Promise<Downloads>

/** The wires with credit: what they are called, how to begin, and the window of a stream in bytes. */
const WIRES: readonly (readonly [string, () => Promise<Connect>, number])[] = [
  ['ANYTLS v1 with a window', () => onTls({ mux1: { window: 262_144 } }), 262_144],
  ['Mux.Pro', onMuxPro, 65_536],
  ['net-mux', onNetMux, 262_144],
]

describe('one slow reader among eight', { timeout: 60_000 }, () => {
  it.for(WIRES)(
    'on %s it holds its window and no more, and its seven siblings are as fast as without it',
    async ([name, begin, window]) => {
      const connect = await begin()
      const times = { with: [] as number[], without: [] as number[] }
      for (let round = 0; round < ROUNDS; round += 1) {
        for (const key of round % 2 === 0 ? WITHOUT_AND_WITH : WITHOUT_AND_WITH.toReversed()) {
          const connection = await connect()
          const slow = key === 'with' ? new SlowReader(connection) : undefined
          times[key].push(await siblings(connection))
          if (slow !== undefined) {
            // All that it got after its first chunk lies there: the server has nothing more to say.
            expect(slow.held).toBeLessThanOrEqual(window)
            expect(slow.held).toBeGreaterThan(window / 2)
            expect(slow.stream.destroyed).toBe(false)
          }
          connection.destroy()
        }
      }
      const ratios = times.with.map((time, round) => time / times.without[round]!)
      const ratio = median(ratios)
      const [least, most] = [Math.min(...ratios), Math.max(...ratios)].map((it) => it.toFixed(2))
      console.log(
        `one slow reader among eight on ${name}: seven downloads of ${FILE.length / MIB} MiB in ` +
          `${median(times.with).toFixed(0)} ms with it, ${median(times.without).toFixed(0)} ms ` +
          `without it; median ratio of ${ROUNDS} rounds ${ratio.toFixed(2)} (${least}-${most})`,
      )
      expect(ratio).toBeLessThan(1.5)
    },
  )

  it('on ANYTLS v1 it is held at what was under way by then, and its seven siblings go on', async () => {
    const connect = await onTls({})
    const connection = await connect()
    const slow = new SlowReader(connection, LONG)
    await siblings(connection)
    await delay(200)
    expect(slow.held).toBeGreaterThan(MIB / 8)
    expect(slow.held).toBeLessThan(16 * MIB)
    expect(slow.stream.destroyed).toBe(false)
    connection.destroy()
  })

  it('on ANYTLS v1 without mux1 and on the original wire its siblings wait until it is cut, and memory is bounded', async () => {
    for (const options of [{ mux1: false }, { wire: 'legacy' }] as const) {
      const stallTimeout = 600
      const connect = await onTls({ ...options, stallTimeout })
      const connection = await connect()
      const slow = new SlowReader(connection)
      const over = closing(slow.stream)
      const begin = performance.now()
      const time = await siblings(connection)
      await over
      expect(slow.stream.errored).toMatchObject({ code: 'ERR_STREAM_STALLED' })
      // The session stops reading at 256 KiB; what came with the last of them is what TCP gave at once, as a TLSSocket
      // does not stop between the records of one read.
      expect(slow.mostHeld).toBeLessThanOrEqual(262_144 + 65_536)
      expect(slow.mostHeld).toBeGreaterThan(131_072)
      expect(time).toBeGreaterThan(stallTimeout)
      expect(performance.now() - begin).toBeLessThan(10_000)
      connection.destroy()
    }
  })
})

const WITHOUT_AND_WITH = ['without', 'with'] as const

/** A download of which nothing is read after its first chunk. */
class SlowReader {
  readonly stream: Stream
  mostHeld = 0

  constructor(connection: Downloads, file = SHORT) {
    this.stream = startDownload(connection, file)
    this.stream.once('data', () => this.stream.pause())
    this.stream.on('error', () => {})
    const watch = setInterval(() => (this.mostHeld = Math.max(this.mostHeld, this.held)), 5)
    this.stream.once('close', () => clearInterval(watch))
  }

  /** Bytes that wait to be read. */
  get held(): number {
    return this.stream.readableLength
  }
}

/** Seven downloads at once, each checked: how long they took, in ms. */
async function siblings(connection: Downloads): Promise<number> {
  const begin = performance.now()
  const digests = Array.from({ length: SIBLINGS }, async () => {
    const hash = createHash('sha256')
    for await (const chunk of startDownload(connection)) hash.update(chunk as Buffer)
    return hash.digest('hex')
  })
  expect(await Promise.all(digests)).toEqual(Array.from({ length: SIBLINGS }, () => DIGEST))
  return performance.now() - begin
}

function startDownload(connection: Downloads, file = SHORT): Stream {
  const stream = connection.openStream()
  stream.write(file)
  return stream
}

/** Sends the file, or that over and over. */
function sendFile(stream: Stream): void {
  stream.once('data', (question: Buffer) => {
    const length = (question.toString() === LONG ? 16 * FILE.length : FILE.length) / CHUNK
    const chunk = (_: unknown, index: number) => {
      const start = (index * CHUNK) % FILE.length
      return FILE.subarray(start, start + CHUNK)
    }
    Readable.from(Array.from({ length }, chunk)).pipe(stream)
  })
}

async function onTls(options: Parameters<TestConnect>[0]): Promise<Connect> {
  const server = await startEchoServer({ ...options }, sendFile)
  return () => server.connect(options)
}

type TestConnect = Awaited<ReturnType<typeof startEchoServer>>['connect']

function onMuxPro(): Promise<Connect> {
  return onTcp(muxProServer, (socket) => {
    const client = muxProClient(socket)
    return {
      openStream: () => client.openStream({ target: { host: 'file.test', port: 80 } }),
      destroy: () => client.destroy(),
    }
  })
}

function onNetMux(): Promise<Connect> {
  return onTcp(netMuxServer, (socket) => netMuxClient(socket))
}

async function onTcp(
  makeServer: (socket: Socket) => Session,
  makeClient: (socket: Socket) => Downloads,
): Promise<Connect> {
  const port = await listen(
    net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      makeServer(socket).on('stream', sendFile)
    }),
  )
  return async () => {
    const where = { host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true }
    const socket = net.connect(where)
    await once(socket, 'connect')
    const connection = makeClient(socket)
    onTestFinished(() => connection.destroy())
    return connection
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}
