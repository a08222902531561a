// What users of their own cost a server: processor and memory with 100,000 of them, 1,000 sessions and 100 logins a second,
// beside a server with one password; and how soon the admin page has 1,000 users. Alternating rounds, medians.
// `npm run bench:users`, with `-- --quick` for one short round. Linux alone.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { formatUsers } from '../src/serve/users/users-file.ts'
import { makeUser } from '../src/serve/users/user.ts'
import { connect } from '../src/tls/dial.ts'
import { writeCertificateFiles } from './certificate-files.ts'
import { processorSeconds, residentMemory } from './go-peer.ts'
import { median } from './median.ts'

const quick = process.argv.includes('--quick')
const [ROUNDS, SECONDS] = quick ? [1, 5] : [5, 20]
const USERS = 100_000
const SHOWN = 1_000
const SESSIONS = 1_000
const LOGINS = 100
const PASSWORD = 'correct horse'

const folder = mkdtempSync(join(tmpdir(), 'bench-users-'))
const certificate = await writeCertificateFiles(folder)

/** A users file, and the passwords in it. */
function writeUsers(name: string, count: number) {
  const file = join(folder, name)
  const users = Array.from({ length: count }, (_, index) => {
    return makeUser({ name: `user ${index}`, quota: { bytes: 1e12, per: 'month' } }, Date.now())
  })
  writeFileSync(file, formatUsers(users), { mode: 0o600 })
  return { file, passwords: users.map(({ password = '' }) => password) }
}

async function startServer(...flags: string[]) {
  const { cert, key } = certificate
  const files = ['--cert', cert, '--key', key, '--state-dir', folder]
  const main = join(import.meta.dirname, '../dist/cli/main.js')
  const child = spawn(
    process.execPath,
    [main, 'server', '-l', '127.0.0.1:0', '--no-link', ...files, ...flags],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  let bound: RegExpExecArray | null = null
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (bound === null) said += text
  })
  while ((bound = /^listening on .*:(\d+)$/m.exec(said)) === null) await once(child.stderr, 'data')
  const [, admin = ''] = /^admin on (\S+)$/m.exec(said) ?? []
  return {
    pid: child.pid ?? 0,
    port: Number(bound[1]),
    admin,
    async stop() {
      child.kill('SIGKILL')
      await once(child, 'close')
    },
  }
}

interface Figures {
  readonly idle: number
  readonly full: number
  /** Milliseconds of processor a login. */
  readonly login: number
}

/** @param passwords whose they are; each login is by the next one */
async function measure(flags: readonly string[], passwords: readonly string[]): Promise<Figures> {
  const server = await startServer(...flags)
  let next = 0
  const logIn = () => {
    // Spread over all of them.
    const password = passwords[(next * 7_919) % passwords.length] ?? ''
    next += 1
    return connect({ host: '127.0.0.1', port: server.port, password, pin: certificate.pin })
  }
  const visit = async (): Promise<void> => {
    const session = await logIn()
    // A session says who it is with what it sends first, and is answered.
    await session.ping()
    await session.close()
  }
  await setTimeout(1_000)
  const idle = residentMemory(server)
  const sessions = []
  while (sessions.length < SESSIONS) {
    sessions.push(...(await Promise.all(Array.from({ length: 20 }, logIn))))
  }
  await setTimeout(2_000)
  const before = processorSeconds(server)
  const start = performance.now()
  const visits: Promise<void>[] = []
  // Where it stands when a collection comes is chance.
  const full: number[] = []
  for (let count = 0; count < LOGINS * SECONDS; count += 1) {
    if (count % LOGINS === 0) full.push(residentMemory(server))
    const wait = start + (count * 1_000) / LOGINS - performance.now()
    if (wait > 0) await setTimeout(wait)
    visits.push(visit())
  }
  await Promise.all(visits)
  const spent = processorSeconds(server) - before
  for (const session of sessions) session.destroy()
  await server.stop()
  return { idle, full: median(full), login: (spent * 1_000) / (LOGINS * SECONDS) }
}

/** Milliseconds that the slowest of the page's requests takes, by the median of many. */
async function measurePage(): Promise<ReadonlyMap<string, number>> {
  const { file } = writeUsers('shown.json', SHOWN)
  const server = await startServer('--users', file, '--admin', '127.0.0.1:0')
  const times = new Map<string, number>()
  for (const path of ['/', '/api/v1/users?limit=200&search=', '/api/v1/users', '/api/v1/usage']) {
    const taken: number[] = []
    for (let count = 0; count < (quick ? 10 : 100); count += 1) {
      const start = performance.now()
      const response = await fetch(`http://${server.admin}${path}`)
      if (!response.ok) throw new Error(`${path}: ${response.status}`)
      await response.arrayBuffer()
      taken.push(performance.now() - start)
    }
    times.set(path, median(taken))
  }
  await server.stop()
  return times
}

const { file, passwords } = writeUsers('users.json', USERS)
const kinds = [
  {
    name: 'one password',
    flags: ['-p', PASSWORD],
    passwords: [PASSWORD],
    figures: [] as Figures[],
  },
  { name: `${USERS} users`, flags: ['--users', file], passwords, figures: [] as Figures[] },
] as const
for (let round = 0; round < ROUNDS; round += 1) {
  for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
    kind.figures.push(await measure(kind.flags, kind.passwords))
  }
}
const page = await measurePage()
rmSync(folder, { recursive: true })

console.log(`${SESSIONS} sessions, ${LOGINS} logins a second for ${SECONDS} s, ${ROUNDS} rounds\n`)
const units = {
  idle: 'MiB at the start',
  full: 'MiB with the sessions',
  login: 'ms of CPU a login',
}
for (const [figure, unit] of Object.entries(units) as [keyof Figures, string][]) {
  const [one = NaN, many = NaN] = kinds.map(({ figures }) =>
    median(figures.map((all) => all[figure])),
  )
  const both = kinds.map(({ name }, index) => `${name} ${[one, many][index]?.toFixed(2)}`)
  console.log(`${unit}: ${both.join(', ')}, ratio ${(many / one).toFixed(2)}`)
}
console.log(`\nthe admin server with ${SHOWN} users, median:`)
for (const [path, time] of page) console.log(`${path}: ${time.toFixed(1)} ms`)
