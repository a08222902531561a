// Three servers of two workers each behind HAProxy (deploy/haproxy.cfg), under load: rolling restarts, which must fail no
// request, then servers and workers killed -9, and how long each loop of requests waits for its next answer.
// `npm run bench:failover`, with `-- --kills 30` for another number, and
// `--reply-wait exact` for clients that know of each refusal before they send.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Fleet, Load } from '../test/e2e/fleet.ts'
import { requireProgram } from '../test/support/programs.ts'

const LOOPS = 24
const CLIENTS = 6

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '30' },
    restarts: { type: 'string', default: '3' },
    'reply-wait': { type: 'string', default: '10' },
  },
})

const folder = mkdtempSync(join(tmpdir(), 'failover-'))
const fleet = new Fleet()
try {
  await fleet.start(requireProgram('haproxy').path, folder, CLIENTS, {
    server: ['--workers', '2'],
    client: ['--reply-wait', values['reply-wait']],
  })
  await fleet.allUp()
  await restartAll(Number(values.restarts))
  await kill('a server', Number(values.kills), async (index) => {
    const server = fleet.servers[index % fleet.servers.length]!
    await server.kill()
    return () => server.start()
  })
  await kill('a worker', Number(values.kills), (index) => {
    const { program } = fleet.servers[index % fleet.servers.length]!
    process.kill(workerOf(program!.child.pid!), 'SIGKILL')
    return Promise.resolve(() => Promise.resolve())
  })
} finally {
  await fleet.close()
  rmSync(folder, { recursive: true })
}

async function restartAll(times: number): Promise<void> {
  const load = new Load(fleet, LOOPS)
  for (let time = 0; time < times; time += 1) {
    for (const server of fleet.servers) {
      await server.restart()
      await fleet.allUp()
    }
  }
  await load.stop()
  const { answered, failures } = load
  console.log(`${times} rolling restarts: ${answered} requests answered, ${failures.length} failed`)
  if (failures.length === 0) return
  // What the clients say of it, without the lines of sessions.
  const lines = fleet.clientLogs().filter((line) => /WARN|ERROR/.test(line))
  for (const line of lines.slice(0, 20)) console.log(`  ${line}`)
}

/** @param strike kills, and gives what brings back what was killed */
async function kill(
  what: string,
  times: number,
  strike: (index: number) => Promise<() => Promise<unknown>>,
): Promise<void> {
  if (times === 0) return
  const load = new Load(fleet, LOOPS)
  const recoveries: number[] = []
  for (let index = 0; index < times; index += 1) {
    const killed = performance.now()
    const restore = await strike(index)
    recoveries.push(...(await load.recoveries(killed + 1)))
    await restore()
    await fleet.allUp()
    // Every worker is there again.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
  await load.stop()
  recoveries.sort((one, other) => one - other)
  const at = (part: number) =>
    Math.round(recoveries[Math.ceil(recoveries.length * part) - 1] ?? NaN)
  const { answered, failures } = load
  console.log(
    `${what} killed ${times} times: answered again after ${at(0.5)} ms (median), ${at(0.99)} ms (p99), ` +
      `${at(1)} ms (longest); ${answered} requests answered, ${failures.length} failed`,
  )
}

/** One of the workers of a server. */
function workerOf(server: number): number {
  const found = readdirSync('/proc').find((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      return readFileSync(`/proc/${name}/status`, 'utf8').includes(`PPid:\t${server}\n`)
    } catch {
      return false
    }
  })
  if (found === undefined) throw new Error('the server has no worker')
  return Number(found)
}
