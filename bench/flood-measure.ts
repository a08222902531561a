// One flood against one server: what it does to the server's loop and memory, and to the round trips of
// another session. The bench prints it, and a test holds the worst of it.
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encodeAddress } from '../src/codec/address.ts'
import type { Address } from '../src/codec/address.ts'
import { connect } from '../src/index.ts'
import { muxProClient } from '../src/muxpro.ts'
import { netMuxClient } from '../src/netmux.ts'
import type { FloodOrder, FloodReport } from './flood-client.ts'
import type { Targets } from './flood-kinds.ts'
import type { Ports, ServerState } from './flood-server.ts'
import { FLOOD_PASSWORD } from './flood-wires.ts'
import type { WireKey } from './flood-wires.ts'

/** Times in milliseconds, memory in bytes. */
export interface FloodFigures {
  readonly sent: number
  readonly ended: boolean
  /** `undefined` when the server did not live to tell. */
  readonly longestTurn: number | undefined
  readonly longestWork: number | undefined
  readonly calm: number
  /** The 99th percentile while it lasted; `Infinity` when the other session was lost. */
  readonly during: number
  readonly peak: number | undefined
  readonly memoryBefore: number
  readonly memoryAfter: number | undefined
  readonly lives: boolean
}

export interface MeasureOptions {
  /** Longest time of sending, in ms. */
  readonly limit: number
  /** Between the end of the flood and the last look at the memory, in ms. */
  readonly rest: number
  /** How long the other session's calm round trips are looked at, in ms. */
  readonly calm?: number
  /** Heap of the server, in MiB. */
  readonly heap?: number
}

const PAUSE = 2
const PROBE = Buffer.alloc(64, 0x70)

export async function measureFlood(
  wire: WireKey,
  flood: string,
  { limit, rest, calm: calmTime = 1_500, heap = 512 }: MeasureOptions,
): Promise<FloodFigures> {
  const targets = await startTargets()
  const server = start('flood-server', [`--max-old-space-size=${heap}`, '--expose-gc'])
  const children = [server]
  try {
    const ports = (await next(server)) as Ports
    const prober = await startProber(wire, ports, targets.echo)
    await prober.run(delay(300))
    const calm = percentile(await prober.run(delay(calmTime)))
    const before = await ask(server)
    const flooder = start('flood-client', [])
    children.push(flooder)
    const order: FloodOrder = { wire, flood, port: ports[wire], targets: targets.addresses, limit }
    flooder.send(order)
    await next(flooder)
    const told = next(flooder)
    const during = percentile(await prober.run(told))
    const report = (await told) as FloodReport | undefined
    const after = await ask(server)
    flooder.kill()
    await delay(rest)
    const rested = await ask(server)
    prober.end()
    return {
      sent: report?.sent ?? 0,
      ended: report?.ended ?? true,
      longestTurn: after?.longestTurn,
      longestWork: after?.longestWork,
      calm,
      during: prober.lost ? Infinity : during,
      peak: rested?.peak,
      memoryBefore: before?.memory ?? NaN,
      memoryAfter: rested?.memory,
      lives: server.exitCode === null && server.signalCode === null,
    }
  } finally {
    for (const child of children) child.kill('SIGKILL')
    targets.stop()
  }
}

function start(name: string, flags: readonly string[]): ChildProcess {
  const extension = extname(import.meta.url)
  const path = fileURLToPath(new URL(`./${name}${extension}`, import.meta.url))
  const loader = extension === '.ts' ? ['--import', 'tsx'] : []
  // A heap that ran over tells its story at length.
  return fork(path, {
    execArgv: [...loader, ...flags],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
}

/** The next message; `undefined` when the process ends before it. */
async function next(child: ChildProcess): Promise<unknown> {
  if (child.exitCode !== null || child.signalCode !== null) return undefined
  return new Promise((resolve) => {
    const onMessage = (message: unknown): void => {
      child.off('exit', onExit)
      resolve(message)
    }
    const onExit = (): void => {
      child.off('message', onMessage)
      resolve(undefined)
    }
    child.once('message', onMessage)
    child.once('exit', onExit)
  })
}

/** How long a server that lives may take to answer, in ms. */
const ANSWER = 20_000

async function ask(server: ChildProcess): Promise<ServerState | undefined> {
  const answer = next(server)
  if (server.connected) server.send('how are you?', () => {})
  return (await Promise.race([answer, delay(ANSWER, undefined, { ref: false })])) as
    ServerState | undefined
}

interface Prober {
  readonly lost: boolean
  /** Round trips until `over` is settled, one after the other; how long each took, in ms. */
  run(over: Promise<unknown>): Promise<number[]>
  end(): void
}

/** Another session: small questions and answers through the proxy. */
async function startProber(wire: WireKey, ports: Ports, echo: Address): Promise<Prober> {
  const { stream, destroy } = await openStream(wire, ports[wire], echo)
  let lost = false
  let answered = (): void => {}
  let missing = 0
  stream.on('error', () => {})
  stream.on('close', () => {
    lost = true
    answered()
  })
  stream.on('data', (chunk: Buffer) => {
    missing -= chunk.length
    if (missing === 0) answered()
  })
  return {
    get lost() {
      return lost
    },
    async run(over) {
      const times: number[] = []
      const state = { over: false }
      void over.finally(() => (state.over = true))
      while (!state.over && !lost) {
        const asked = performance.now()
        missing = PROBE.length
        await new Promise<void>((resolve) => {
          answered = resolve
          stream.write(PROBE)
        })
        times.push(performance.now() - asked)
        await delay(PAUSE)
      }
      await over
      return times
    },
    end: destroy,
  }
}

async function openStream(
  wire: WireKey,
  port: number,
  echo: Address,
): Promise<{ stream: Duplex; destroy: () => void }> {
  if (wire === 'muxPro' || wire === 'netMux') {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    if (wire === 'muxPro') {
      const client = muxProClient(socket)
      return {
        stream: client.openStream({ target: echo }),
        destroy: () => client.destroy(),
      }
    }
    const session = netMuxClient(socket)
    const stream = session.openStream()
    stream.write(encodeAddress(echo))
    return { stream, destroy: () => session.destroy() }
  }
  const session = await connect({
    host: '127.0.0.1',
    port,
    password: FLOOD_PASSWORD,
    insecure: true,
    wire: wire === 'legacy' ? 'legacy' : 'v1',
    mux1: wire === 'v1',
  })
  const stream = session.openStream()
  stream.write(encodeAddress(echo))
  return { stream, destroy: () => session.destroy() }
}

async function startTargets(): Promise<{ addresses: Targets; echo: Address; stop: () => void }> {
  const sockets = new Set<Socket>()
  const servers: Server[] = []
  const listen = async (serve: (socket: Socket) => void): Promise<Address> => {
    const server = createServer({ noDelay: true }, (socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => {})
      serve(socket)
    })
    servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
  }
  const chunk = Buffer.alloc(65_536)
  const supply = (socket: Socket): void => {
    const send = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    }
    socket.on('drain', send).resume()
    send()
  }
  const addresses: Targets = {
    hang: { host: 'hang.invalid', port: 1 },
    fast: await listen((socket) => socket.resume()),
    source: await listen(supply),
    refused: { host: '127.0.0.1', port: 1 },
  }
  const echo = await listen((socket) => socket.pipe(socket))
  return {
    addresses,
    echo,
    stop() {
      for (const server of servers) server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function percentile(values: readonly number[], share = 0.99): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Infinity
}
