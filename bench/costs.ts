// What a server with its users in Redis costs, piece by piece, as JSON: a session, a handshake, a request, a GiB, a user, a
// login, a batch, a revocation. docs/scaling.md and bench/scale.ts reckon with it. `npm run bench:costs`, with `-- --quick` for
// a glance, `--out FILE` to keep it. Linux alone.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { connect } from '../src/index.ts'
import type { Session } from '../src/index.ts'
import { createTunnelOpener } from '../src/proxy.ts'
import { openUserStore } from '../src/serve/users/open-store.ts'
import type { UserStore } from '../src/serve/users/store.ts'
import { closedPort } from '../test/proxy/support.ts'
import { addMany, TestRedis } from '../test/serve/redis/redis.ts'
import { writeCertificateFiles } from './certificate-files.ts'
import { processorSeconds, residentMemory } from './go-peer.ts'
import { median } from './median.ts'

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, out: { type: 'string' } },
})
const quick = values.quick
const USERS = quick ? 10_000 : 100_000
const SESSIONS = quick ? 200 : 1_000
const REQUESTS = quick ? 500 : 5_000
const BULK = (quick ? 64 : 1_024) * 1_048_576
const BATCHES = quick ? 50 : 300
const REVOCATIONS = quick ? 5 : 15
/** Users in a batch, of which each counts in a part of its own if there are more than 200. */
const COUNTED = 100
const GIB = 1_073_741_824
const MIB = 1_048_576

/** Processor times in milliseconds, memory in bytes, where the name says nothing else. */
export interface Costs {
  readonly machine: string
  /** Of the machine while it was measured: with others at work the times are too long. */
  readonly load: number
  readonly users: number
  readonly server: {
    /** Resident, with no user and with all of them. */
    readonly idleMiB: number
    readonly withUsersMiB: number
    readonly startSeconds: number
    readonly startWithUsersSeconds: number
    readonly bytesAUser: number
    readonly bytesASession: number
    readonly cpuAHandshake: number
    /** The same, by a user with limits among all of them. */
    readonly cpuALogin: number
    readonly cpuARequest: number
    readonly cpuSecondsAGiBDown: number
    readonly cpuSecondsAGiBUp: number
    /** Of a server that only follows, for a user in a batch of others. */
    readonly cpuAUserInABatchOfOthers: number
    /** Of a server that only follows, for a change of a user. */
    readonly cpuAChange: number
    readonly cpuIdlePerSecond: number
  }
  readonly redis: {
    readonly bytesAUser: number
    readonly cpuALogin: number
    readonly commandsALogin: number
    readonly cpuABatch: number
    readonly cpuAUserInABatch: number
    readonly commandsASecondOfAServer: number
  }
  /** From the change to the end of the user's session, at another server. */
  readonly revocation: { readonly medianMs: number; readonly longestMs: number }
}

interface RunningServer {
  readonly pid: number
  readonly port: number
  readonly seconds: number
  stop(): Promise<void>
}

const folder = mkdtempSync(join(tmpdir(), 'bench-costs-'))
const certificate = await writeCertificateFiles(folder)
const load = loadavg()[0] ?? NaN
mkdirSync(join(folder, 'redis'))
const redis = new TestRedis(await closedPort(), [], join(folder, 'redis'))
await redis.start()
const target = await startTarget()
try {
  const costs = await measure()
  const text = JSON.stringify(costs, undefined, 2)
  console.log(text)
  if (values.out !== undefined) writeFileSync(values.out, `${text}\n`)
} finally {
  await redis.kill()
  target.stop()
  rmSync(folder, { recursive: true })
}
process.exit(0)

async function measure(): Promise<Costs> {
  const store = await openStore('first')
  const limited = await store.add({
    name: 'limited',
    maxSessions: 1_000_000,
    allowPrivate: true,
  })
  const { password = '' } = limited
  const plain = await measureServer(password)
  const memory = await usedMemory()
  const users = await addMany(redis, USERS, { maxSessions: 5, allowPrivate: true })
  const passwords = users.map(({ password = '' }) => password)
  const ids = users.map(({ id }) => id)
  const bytesAUser = (await usedMemory()).bytes - memory.bytes
  const full = await startServer('full')
  await sleep(2_000)
  const withUsers = residentMemory(full)
  const idle = await spent(full, () => sleep(quick ? 3_000 : 10_000))
  const commandsBefore = await usedMemory()
  const login = await spent(full, () =>
    inTurn(SESSIONS, async (count) => {
      const one = await logIn(full.port, passwords[(count * 7_919) % passwords.length] ?? '')
      one.destroy()
    }),
  )
  const commandsAfter = await usedMemory()
  await store.refresh()
  const batch = await spent(full, () =>
    inTurn(BATCHES, async () => {
      for (let count = 0; count < COUNTED; count += 1)
        store.usage.add(ids[count] ?? '', 1_000, 2_000)
      await store.usage.flush()
    }),
  )
  const small = await spent(full, () =>
    inTurn(BATCHES, async () => {
      store.usage.add(ids[0] ?? '', 1_000, 2_000)
      await store.usage.flush()
    }),
  )
  const times: number[] = []
  const changes = await spent(full, async () => {
    for (let count = 0; count < REVOCATIONS; count += 1) {
      const session = await logIn(full.port, passwords[count] ?? '')
      const begun = performance.now()
      const over = once(session, 'close')
      await store.update(`user ${count}`, { enabled: false })
      await over
      times.push(performance.now() - begun)
    }
  })
  const idleCpu = (idle.server * 1_000) / idle.seconds
  const otherCommands = idle.commands / idle.seconds
  await full.stop()
  await store.close()
  return {
    machine: `${cpus().length} cores, ${cpus()[0]?.model.trim() ?? ''}, Node ${process.version}`,
    load,
    users: USERS,
    server: {
      ...plain,
      withUsersMiB: withUsers,
      startWithUsersSeconds: full.seconds,
      bytesAUser: ((withUsers - plain.idleMiB) * MIB) / USERS,
      cpuALogin: (login.server * 1_000 - idleCpu * login.seconds) / SESSIONS,
      cpuAUserInABatchOfOthers:
        (batch.server * 1_000 - idleCpu * batch.seconds) / (BATCHES * COUNTED),
      cpuAChange: (changes.server * 1_000 - idleCpu * changes.seconds) / REVOCATIONS,
      cpuIdlePerSecond: idleCpu,
    },
    redis: {
      bytesAUser: bytesAUser / USERS,
      cpuALogin: (login.redis * 1_000) / SESSIONS,
      commandsALogin:
        (commandsAfter.commands - commandsBefore.commands - otherCommands * login.seconds) /
        SESSIONS,
      cpuABatch: (small.redis * 1_000) / BATCHES,
      cpuAUserInABatch: ((batch.redis - small.redis) * 1_000) / (BATCHES * (COUNTED - 1)),
      commandsASecondOfAServer: otherCommands,
    },
    revocation: { medianMs: median(times), longestMs: Math.max(...times) },
  }
}

/** What has nothing to do with how many users there are. */
async function measureServer(password: string) {
  const server = await startServer('plain')
  await sleep(2_000)
  const idleMiB = residentMemory(server)
  const sessions: Session[] = []
  const handshakes = await spent(server, () =>
    inTurn(SESSIONS, async () => {
      sessions.push(await logIn(server.port, password))
    }),
  )
  await sleep(1_000)
  const bytesASession = ((residentMemory(server) - idleMiB) * MIB) / SESSIONS
  // Those of above have been idle for as long as a server keeps them.
  const open = createTunnelOpener(await logIn(server.port, password))
  const fetch = async (asked: number, sent: number): Promise<void> => {
    const stream = await open({ host: '127.0.0.1', port: target.port }, AbortSignal.timeout(60_000))
    const head = Buffer.alloc(8)
    head.writeUInt32BE(asked / 1_024)
    head.writeUInt32BE(sent / 1_024, 4)
    stream.write(head)
    const chunk = Buffer.alloc(65_536)
    for (let left = sent; left > 0; left -= chunk.length) {
      if (!stream.write(chunk.subarray(0, Math.min(left, chunk.length))))
        await once(stream, 'drain')
    }
    stream.end()
    let got = 0
    for await (const piece of stream as AsyncIterable<Buffer>) got += piece.length
    if (got !== asked) throw new Error(`${got} bytes instead of ${asked}`)
  }
  await inTurn(100, () => fetch(1_024, 0))
  const requests = await spent(server, () => inTurn(REQUESTS, () => fetch(1_024, 0)))
  const down = await spent(server, () => fetch(BULK, 0))
  const up = await spent(server, () => fetch(1_024, BULK))
  for (const session of sessions) session.destroy()
  await server.stop()
  return {
    idleMiB,
    startSeconds: server.seconds,
    bytesASession,
    cpuAHandshake: (handshakes.server * 1_000) / SESSIONS,
    cpuARequest: (requests.server * 1_000) / REQUESTS,
    cpuSecondsAGiBDown: (down.server * GIB) / BULK,
    cpuSecondsAGiBUp: (up.server * GIB) / BULK,
  }
}

/** What server and Redis took for it. */
async function spent(server: RunningServer, task: () => Promise<void>) {
  const other = { pid: redis.pid ?? 0 }
  const [mine, theirs] = [processorSeconds(server), processorSeconds(other)]
  const { commands } = await usedMemory()
  const begun = performance.now()
  await task()
  return {
    server: processorSeconds(server) - mine,
    redis: processorSeconds(other) - theirs,
    commands: (await usedMemory()).commands - commands,
    seconds: (performance.now() - begun) / 1_000,
  }
}

async function inTurn(times: number, task: (count: number) => Promise<void>): Promise<void> {
  for (let count = 0; count < times; count += 1) await task(count)
}

function openStore(name: string): Promise<UserStore> {
  const kept = join(folder, name)
  mkdirSync(kept)
  return openUserStore(redis.place, { warn: (problem) => console.error(problem), folder: kept })
}

async function usedMemory(): Promise<{ readonly bytes: number; readonly commands: number }> {
  const info = await redis.command('INFO', 'everything')
  const of = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1])
  return { bytes: of('used_memory'), commands: of('total_commands_processed') }
}

function logIn(port: number, password: string): Promise<Session> {
  return connect({ host: '127.0.0.1', port, password, pin: certificate.pin }).then(
    async (session) => {
      await session.ping()
      return session
    },
  )
}

async function startServer(name: string): Promise<RunningServer> {
  const begun = performance.now()
  const { cert, key } = certificate
  const files = ['--cert', cert, '--key', key, '--state-dir', join(folder, name)]
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, '../dist/cli/main.js'),
      ...['server', '-l', '127.0.0.1:0', '--no-link', '--log-level', 'error', ...files],
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ANYTLS_USERS: redis.place },
    },
  )
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const port = (): string | undefined => /^listening on .*:(\d+)$/m.exec(said)?.[1]
  while (port() === undefined) {
    if (child.exitCode !== null) throw new Error(said)
    await sleep(10)
  }
  return {
    pid: child.pid ?? 0,
    port: Number(port()),
    seconds: (performance.now() - begun) / 1_000,
    async stop() {
      child.kill('SIGKILL')
      await once(child, 'close')
    },
  }
}

/** Is told how many KiB to send and how many come, and does so. */
async function startTarget() {
  const chunk = Buffer.alloc(65_536)
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => {})
    socket.once('data', (head: Buffer) => {
      socket.resume().on('end', () => {
        let left = head.readUInt32BE() * 1_024
        const send = (): void => {
          while (left > 0) {
            const piece = chunk.subarray(0, Math.min(left, chunk.length))
            left -= piece.length
            if (!socket.write(piece)) return
          }
          socket.end()
        }
        socket.on('drain', send)
        send()
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, stop: () => void server.close() }
}
