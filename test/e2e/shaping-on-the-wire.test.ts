// Real sessions of both wires, captured without a key: what left, record by record and segment by segment,
// is what the shaper planned, at rest, with many streams at once, and under back-pressure (D28 to D34).
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { anyTlsClient } from '../../src/wires/anytls/client.ts'
import { anyTlsServer } from '../../src/wires/anytls/server.ts'
import { startCapture } from '../support/capture.ts'
import type { CaptureEvent } from '../../src/harness/capture/capture-event.ts'
import { legacyClient } from '../../src/wires/legacy/client.ts'
import { legacyServer } from '../../src/wires/legacy/server.ts'
import type { Machine, Write } from '../../src/engine/machine.ts'
import { systemClock } from '../../src/session/clock.ts'
import { Session } from '../../src/session/session.ts'
import { DEFAULT_SCHEME, parseScheme } from '../../src/shaping/scheme.ts'
import type { Scheme } from '../../src/shaping/scheme.ts'
import { connectSecurely } from '../../src/tls/secure-socket.ts'
import { parseSessionSettings } from '../../src/tls/session-options.ts'
import { requireProgram } from '../support/programs.ts'
import { applicationRecords, carriedBytes } from '../support/record-tap.ts'
import type { TappedRecord } from '../support/record-tap.ts'
import { seededRandomInt } from '../support/seeded-random.ts'
import { PASSWORD, startTlsServer } from '../support/server.ts'

type Wire = 'v1' | 'legacy'

const MACHINES = {
  v1: { client: anyTlsClient, server: anyTlsServer },
  legacy: { client: legacyClient, server: legacyServer },
} as const

const SCHEMES: readonly Scheme[] = [
  DEFAULT_SCHEME,
  parseScheme('stop=40\n0=1-900\n' + entries(1, 40, '50-1200,c,1-16384')),
  parseScheme('stop=25\n0=30-30\n' + entries(1, 25, '64-64,65-65,66-66,c,67-67,68-68,70-70')),
  parseScheme('stop=30\n0=5-5\n3=900-1000\n4=20-30,c,400-500\n9=16384-16384'),
  parseScheme('stop=12\nrestart=2\n0=10-10\n' + entries(1, 12, '300-600,c,300-600,700-701')),
]

type Mode = 'at rest' | 'many streams at once' | 'under back-pressure'

/** What one end planned, in order. */
type Plan = Pick<Write, 'bytes' | 'shaped'>[]

interface Run {
  readonly up: Plan
  readonly down: Plan
}

const CONNECTIONS = 8
const ss = requireProgram('ss')
const CLOSE_NOTIFY = 2
const FULL_RECORD = 16_384

describe.each(['v1', 'legacy'] as const)('captured sessions of the wire %s', (wire) => {
  const modes: readonly Mode[] = ['at rest', 'many streams at once', 'under back-pressure']

  it.each(modes)('D33: each planned Write is one record, %s', { timeout: 60_000 }, async (mode) => {
    const bench = await startBench(wire, mode)
    const runs: Run[] = []
    for (const [index, scheme] of SCHEMES.entries()) {
      for (let count = 0; count < CONNECTIONS; count += 1) {
        runs.push(await bench.run(scheme, index * 1_000 + count))
      }
    }
    await bench.over()
    expect(runs).toHaveLength(CONNECTIONS * SCHEMES.length)
    for (const [index, { up, down }] of runs.entries()) {
      const seen = applicationRecords(recordsOf(bench.events, index + 1))
      compare(carriedBytes(seen.up), up, `connection ${index + 1}, up`)
      compare(carriedBytes(seen.down), down, `connection ${index + 1}, down`)
      expect(up.filter(({ shaped }) => shaped).length).toBeGreaterThan(6)
    }
  })

  it.skipIf(ss.isMissing)(
    'D33: each shaped Write is one TCP segment, at rest (only where ss is installed)',
    { timeout: 60_000 },
    async () => {
      const bench = await startBench(wire, 'at rest')
      const scheme = parseScheme('stop=4000\n0=30-30\n' + entries(1, 200, '40-1300,c,200-300'))
      for (let count = 0; count < 10; count += 1) {
        const { up, segments } = await bench.run(scheme, count, true)
        expect(up.every(({ shaped }) => shaped)).toBe(true)
        expect(segments).toBe(up.length)
      }
    },
  )
})

function entries(from: number, to: number, items: string): string {
  return Array.from({ length: to - from }, (_, index) => `${from + index}=${items}`).join('\n')
}

/** Holds what was carried against the plan: shaped Writes one by one, unshaped ones in runs. */
function compare(carried: readonly number[], plan: Plan, title: string): void {
  let at = 0
  for (let index = 0; index < plan.length; index += 1) {
    const { bytes, shaped } = plan[index]!
    if (shaped) {
      // What is left over of a Deliver may be more than one record holds.
      for (let left = bytes; left > 0; left -= FULL_RECORD) {
        expect(carried[at], `${title}: record ${at}`).toBe(Math.min(left, FULL_RECORD))
        at += 1
      }
      continue
    }
    let run = bytes
    while (plan[index + 1]?.shaped === false) run += plan[(index += 1)]!.bytes
    let sum = 0
    while (sum < run && at < carried.length) sum += carried[at++]!
    expect(sum, `${title}: unshaped up to record ${at}`).toBe(run)
  }
  const rest = carried.slice(at)
  expect([[], [CLOSE_NOTIFY]], title).toContainEqual(rest)
}

function planOf(machine: Machine): Plan {
  const plan: Plan = []
  const take = machine.takeWrites.bind(machine)
  machine.takeWrites = () => {
    const writes = take()
    plan.push(...writes.map(({ bytes, shaped }) => ({ bytes, shaped })))
    return writes
  }
  return plan
}

/** Server, capture in front of it, and clients one after the other. */
async function startBench(wire: Wire, mode: Mode) {
  const plans: { up: Plan; down: Plan }[] = []
  const settings = parseSessionSettings({ password: PASSWORD }, DEFAULT_SCHEME)
  let next: { readonly scheme: Scheme; readonly seed: number } | undefined
  const { port, certificate } = await startTlsServer({ minVersion: 'TLSv1.3' }, (socket) => {
    const { scheme, seed } = next!
    const config = {
      ...settings,
      randomInt: seededRandomInt(seed + 1),
      onViolation: 'alert',
      downlinkScheme: scheme,
    } as const
    const machine = MACHINES[wire].server(config, systemClock.now())
    plans.at(-1)!.down = planOf(machine)
    socket.setNoDelay(true)
    const session = new Session({ duplex: socket, machine })
    session.on('stream', (stream) => void stream.pipe(stream))
    onTestFinished(() => session.destroy())
  })

  const events: CaptureEvent[] = []
  const closed = { count: 0 }
  const slow = mode === 'under back-pressure'
  const capture = await startCapture({
    listen: { host: '127.0.0.1', port: 0 },
    to: { host: '127.0.0.1', port },
    sink: {
      write(event) {
        events.push(event)
        if (event.event === 'close') closed.count += 1
        // What is not taken from the socket fills it up.
        return slow && event.event === 'record' && events.length % 40 === 0 ? sleep(15) : undefined
      },
    },
  })
  onTestFinished(() => capture.stop(0))

  return {
    events,
    async over() {
      while (closed.count < plans.length) await sleep(5)
    },
    async run(scheme: Scheme, seed: number, countSegments = false) {
      next = { scheme, seed }
      const plan: { up: Plan; down: Plan } = { up: [], down: [] }
      plans.push(plan)
      const socket = await connectSecurely(
        { host: '127.0.0.1', port: capture.port, ca: certificate.cert, servername: 'localhost' },
        { signal: undefined, clock: systemClock, connectTimeout: 5_000 },
      )
      const localPort = socket.localPort!
      const before = countSegments ? segmentsOut(localPort) : 0
      const config = { ...settings, scheme, randomInt: seededRandomInt(seed) }
      const machine = MACHINES[wire].client(config, systemClock.now())
      plan.up = planOf(machine)
      const session = new Session({ duplex: socket, machine })
      await WORKLOADS[mode](session, seededRandomInt(seed + 2))
      const segments = countSegments ? segmentsOut(localPort) - before : 0
      const planned = [...plan.up]
      await session.close()
      return countSegments ? { up: planned, down: plan.down, segments } : { ...plan, segments }
    },
  }
}

type Random = (min: number, max: number) => number

const WORKLOADS: Record<Mode, (session: Session, random: Random) => Promise<void>> = {
  async 'at rest'(session, random) {
    for (let count = 0; count < 3; count += 1) {
      const stream = session.openStream()
      for (let message = 0; message < 4; message += 1) await talk(stream, random(1, 3_000))
      stream.destroy()
      await sleep(1)
    }
  },
  async 'many streams at once'(session, random) {
    await Promise.all(
      Array.from({ length: 6 }, async () => {
        const stream = session.openStream()
        await talk(stream, random(1, 20_000))
        await talk(stream, random(1, 100))
        stream.destroy()
      }),
    )
  },
  async 'under back-pressure'(session, random) {
    await Promise.all(
      Array.from({ length: 3 }, async () => {
        const stream = session.openStream()
        await talk(stream, random(1, 400))
        await talk(stream, 600_000)
        stream.destroy()
      }),
    )
  },
}

/** Sends `bytes` bytes and waits until as many have come back. */
async function talk(stream: ReturnType<Session['openStream']>, bytes: number): Promise<void> {
  let missing = bytes
  const back = new Promise<void>((resolve, reject) => {
    const onData = (data: Buffer): void => {
      missing -= data.length
      if (missing > 0) return
      stream.off('data', onData)
      resolve()
    }
    stream.on('data', onData)
    stream.once('error', reject)
  })
  stream.write(Buffer.alloc(bytes))
  await back
}

/** The records of one connection, in the form in which a tap gives them. */
function recordsOf(events: readonly CaptureEvent[], connection: number) {
  const records = { up: [] as TappedRecord[], down: [] as TappedRecord[] }
  for (const [order, event] of events.entries()) {
    if (event.event !== 'record' || event.connection !== connection) continue
    records[event.direction].push({ type: event.type, length: event.bytes - 5, order })
  }
  return { fromClient: records.up, fromServer: records.down }
}

/** Segments with data that the socket with that local port has sent for the first time, as the kernel counts them. */
function segmentsOut(localPort: number): number {
  const { stdout } = spawnSync(ss.path, ['-tinH', `sport = :${localPort}`], { encoding: 'utf8' })
  const count = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1] ?? 0)
  // The last one is sent again when its acknowledgement is late, as on a busy machine.
  return count(/data_segs_out:(\d+)/) - count(/\bretrans:\d+\/(\d+)/)
}
