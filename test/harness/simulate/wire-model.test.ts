// The models of the wires against the machines themselves: the same workload, the same draws, the same Writes.
import { describe, expect, it } from 'vitest'
import { hashPassword } from '../../../src/tls/session-options.ts'
import { anyTlsClient } from '../../../src/wires/anytls/client.ts'
import { DEFAULT_TIMEOUTS, DEFAULT_WINDOW } from '../../../src/wires/anytls/config.ts'
import { anyTlsServer } from '../../../src/wires/anytls/server.ts'
import { V1_WIRE } from '../../../src/harness/simulate/v1-model.ts'
import { legacyClient } from '../../../src/wires/legacy/client.ts'
import { DEFAULT_LEGACY_TIMEOUTS } from '../../../src/wires/legacy/config.ts'
import { legacyServer } from '../../../src/wires/legacy/server.ts'
import { LEGACY_WIRE } from '../../../src/harness/simulate/legacy-model.ts'
import { steady } from '../../support/seeded-random.ts'
import type { Machine } from '../../../src/engine/machine.ts'
import { seededRandomInt } from '../../../src/harness/simulate/seeded-random.ts'
import { simulateRuns } from '../../../src/harness/simulate/simulate.ts'
import type { SimulatedDeliver } from '../../../src/harness/simulate/simulate.ts'
import type { Direction, Workload } from '../../../src/harness/simulate/workload.ts'
import { parseWorkload } from '../../../src/harness/simulate/workload.ts'
import { WORKLOADS } from '../../../src/harness/simulate/workloads.ts'
import { DEFAULT_SCHEME, parseScheme } from '../../../src/shaping/scheme.ts'
import type { Scheme } from '../../../src/shaping/scheme.ts'
import { IMPLEMENTATION } from '../../../src/version.ts'

type Ends = Readonly<Record<Direction, Machine>>
type Writes = Record<Direction, number[]>

const SEED = 7
// Long enough for both directions of every workload to be shaped throughout but for the download.
const LONG = parseScheme(
  ['stop=120', '0=30-90']
    .concat(Array.from({ length: 119 }, (_, index) => `${index + 1}=20-400,c,300-900`))
    .join('\n'),
)
const GAPS = parseScheme('stop=60\n0=30-30\n1=100-200')
const LARGE_FRAMES = parseWorkload(
  JSON.stringify({
    name: 'large',
    events: [
      { time: 0, direction: 'up', bytes: 0, open: true },
      { time: 1, direction: 'up', bytes: 100_000 },
      { time: 2, direction: 'down', bytes: 70_000, end: true },
    ],
  }),
)

/** A handshake on each of three streams, one behind the other. */
const THREE_STREAMS: Workload = parseWorkload(
  JSON.stringify({
    name: 'three streams',
    events: [0, 1, 2].flatMap((stream) =>
      WORKLOADS.handshake.events.map((event) => ({
        ...event,
        time: event.time + 100 * stream,
        stream: stream + 1,
      })),
    ),
  }),
)

const cases: readonly [string, Workload, Scheme, Scheme | undefined][] = [
  ['the built-in scheme', WORKLOADS.page, DEFAULT_SCHEME, undefined],
  ['both directions', WORKLOADS.handshake, LONG, LONG],
  ['both directions, two streams', WORKLOADS.page, LONG, DEFAULT_SCHEME],
  ['a shell', WORKLOADS.shell, LONG, LONG],
  ['frames of more than one record', LARGE_FRAMES, LONG, LONG],
  ['N46: control frames where the scheme has gaps', THREE_STREAMS, GAPS, GAPS],
  ['nothing shaped', THREE_STREAMS, parseScheme('stop=0\n0=5-9'), undefined],
]

describe.each(cases)('%s', (_, workload, scheme, downlinkScheme) => {
  it('D28, D29: ANYTLS v1: the machines make the Writes that the model makes', () => {
    const randomInt = steady(seededRandomInt(SEED))
    const shared = { passwordHash: hashPassword('x'), scheme, name: IMPLEMENTATION, randomInt }
    const config = { timeouts: DEFAULT_TIMEOUTS, mux1Window: DEFAULT_WINDOW, maxStreams: 99 }
    const server = { onViolation: 'alert', downlinkScheme } as const
    const ends: Ends = {
      up: anyTlsClient({ ...shared, ...config }, 0),
      down: anyTlsServer({ ...shared, ...config, ...server }, 0),
    }
    const [run = []] = simulateRuns({
      ...{ scheme, downlinkScheme, workload, wire: V1_WIRE, seed: SEED },
    })
    expectSame(play(workload, ends), run)
  })

  it('D32: the original wire: the machines make the Writes that the model makes', () => {
    const randomInt = steady(seededRandomInt(SEED))
    const shared = { passwordHash: hashPassword('x'), scheme, name: IMPLEMENTATION, randomInt }
    const config = { timeouts: DEFAULT_LEGACY_TIMEOUTS, maxStreams: 99 }
    const server = { onViolation: 'alert', downlinkScheme } as const
    const ends: Ends = {
      up: legacyClient({ ...shared, ...config }, 0),
      down: legacyServer({ ...shared, ...config, ...server }, 0),
    }
    const [run = []] = simulateRuns({
      ...{ scheme, downlinkScheme, workload, wire: LEGACY_WIRE, seed: SEED },
    })
    // Without first data SYN leaves alone once the hold is over.
    const hold = workload === LARGE_FRAMES
    expectSame(play(workload, ends, hold), run)
  })
})

/** Sizes one by one as long as they are shaped; what follows passes and may be joined, so its sum. */
function expectSame(
  real: { shaped: Writes; passed: Writes },
  run: readonly SimulatedDeliver[],
): void {
  for (const direction of ['up', 'down'] as const) {
    const delivers = run.filter((made) => made.direction === direction)
    const isShaped = (entry: number | null, index: number) =>
      entry !== null || (direction === 'up' && index === 0)
    const sizes = (shaped: boolean) =>
      delivers
        .filter(({ entry }, index) => isShaped(entry, index) === shaped)
        .flatMap(({ writes }) => writes.map(({ bytes }) => bytes))
    expect(real.shaped[direction], `${direction}, shaped`).toEqual(sizes(true))
    expect(sumOf(real.passed[direction]), `${direction}, passed`).toBe(sumOf(sizes(false)))
  }
}

/** Lets the machines do what the workload says, every byte arriving at once. */
function play(workload: Workload, ends: Ends, hold = false): { shaped: Writes; passed: Writes } {
  const shaped: Writes = { up: [], down: [] }
  const passed: Writes = { up: [], down: [] }
  const exchange = (now: number): void => {
    for (let quiet = false; !quiet;) {
      quiet = true
      for (const direction of ['up', 'down'] as const) {
        for (const write of ends[direction].takeWrites()) {
          quiet = false
          ;(write.shaped ? shaped : passed)[direction].push(write.bytes)
          const peer = ends[direction === 'up' ? 'down' : 'up']
          for (const part of write.parts) {
            for (const event of peer.receive(part, now)) {
              if (event.type === 'open') peer.acceptStream(event.stream, now)
            }
          }
        }
      }
    }
  }
  for (const { time, direction, bytes, stream, open, end } of workload.events) {
    const machine = ends[direction]
    if (open) {
      machine.openStream(time)
      if (hold) machine.timeout(time + DEFAULT_LEGACY_TIMEOUTS.hold)
      // The first data of a stream is there when it is opened.
      if (bytes === 0) exchange(time)
    }
    for (let rest = bytes; rest > 0; rest -= machine.maxPayload) {
      const length = Math.min(rest, machine.maxPayload)
      machine.sendData(stream, [new Uint8Array(length)], length, time)
    }
    exchange(time)
    if (end) machine.finishStream(stream, time)
    exchange(time)
  }
  return { shaped, passed }
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}
