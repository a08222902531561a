// Simulations: what they are made of, their numbers, their bounds.
import { describe, expect, it } from 'vitest'
import {
  DEFAULT_SCHEME,
  parseScheme,
  parseWorkload,
  Shaper,
  seededRandomInt,
  simulate,
  simulateRuns,
  type Scheme,
  type SimulationOptions,
  WIRES,
  type Workload,
  WORKLOADS,
} from '../../../src/shaping.ts'
import { PADDING_FORMAT } from '../../../src/wires/anytls/frame-encoder.ts'

/** One stream, and these writes of the client, 10 ms apart. */
function uploads(...sizes: number[]): Workload {
  const events = sizes.map((bytes, index) => ({
    time: 10 * index,
    direction: 'up',
    bytes,
    open: index === 0,
  }))
  return parseWorkload(JSON.stringify({ name: 'uploads', events }))
}

const BASE = { scheme: DEFAULT_SCHEME, wire: WIRES.v1, workload: WORKLOADS.handshake }

describe('simulate', () => {
  it('the Writes are those that the shaper makes of the frames with the same draws', () => {
    const [run = []] = simulateRuns({ ...BASE, seed: 42 })
    const shaper = new Shaper(DEFAULT_SCHEME, seededRandomInt(42), PADDING_FORMAT)
    const authPadding = shaper.authPadding()
    const up = run.filter(({ direction }) => direction === 'up')
    expect(up[0]?.padding).toBe(authPadding)
    for (const { data, framing, padding, writes } of up) {
      const own = data + framing + (writes === up[0]?.writes ? padding : 0)
      expect(writes.map(({ bytes }) => bytes)).toEqual(
        shaper.deliver(new Uint8Array(own)).map(({ length }) => length),
      )
    }
  })

  it('the same seed gives the same simulation, another seed another one', () => {
    const json = (options: Partial<SimulationOptions>) =>
      JSON.stringify(simulate({ ...BASE, ...options }).runs)
    expect(json({ seed: 5, runs: 3 })).toBe(json({ seed: 5, runs: 3 }))
    expect(json({ seed: 5 })).not.toBe(json({ seed: 6 }))
    expect(json({})).toBe(json({ seed: 1, runs: 1 }))
    const { runs } = simulate({ ...BASE, runs: 2 })
    expect(JSON.stringify(runs[0])).not.toBe(JSON.stringify(runs[1]))
  })

  it('D33: a Write above 16,384 bytes is several records, its padding at the end', () => {
    const scheme = parseScheme('stop=3\n2=40000-40000')
    const { runs } = simulate({ ...BASE, scheme, workload: uploads(5, 20_000) })
    const [records] = runs.map((run) => run.records.filter(({ deliver }) => deliver === 2))
    // 20,000 bytes and a head of 6.
    expect(
      records?.map(({ bytes, padding, write, index }) => [bytes, padding, write, index]),
    ).toEqual([
      [16_384, 0, 0, 2],
      [16_384, 2 * 16_384 - 20_006, 0, 3],
      [40_000 - 2 * 16_384, 40_000 - 2 * 16_384, 0, 4],
    ])
  })

  it('time: each Write below stop waits for the flush before it, what follows waits for the last', () => {
    const scheme = parseScheme('stop=3\n1=5-5,5-5,c,9-9\n2=300-300,300-300')
    const workload = parseWorkload(
      JSON.stringify({
        name: 'at once',
        events: [
          { time: 1, direction: 'up', bytes: 4, open: true },
          { time: 1, direction: 'up', bytes: 4 },
          { time: 1, direction: 'up', bytes: 4 },
          { time: 9, direction: 'up', bytes: 4 },
        ],
      }),
    )
    const [run = []] = simulateRuns({ ...BASE, scheme, workload, flushTime: 0.5 })
    const up = run.filter(({ direction }) => direction === 'up')
    expect(up.map(({ writes }) => writes.map(({ time }) => time))).toEqual([
      [1],
      // 7 bytes of frame: 5, and 2 that nothing can be added to.
      [1.5, 2],
      [2.5, 3],
      [3.5],
      [9],
    ])
    // Up to the last byte of data; the padding behind it holds nobody up but what follows.
    expect(up.map(({ latency }) => latency)).toEqual([0, 1, 1.5, 2.5, 0])
  })

  it('the summary adds up: data, frames and padding are what leaves', () => {
    for (const wire of Object.values(WIRES)) {
      for (const workload of Object.values(WORKLOADS)) {
        const options = { scheme: DEFAULT_SCHEME, downlinkScheme: DEFAULT_SCHEME, wire, workload }
        const { runs, summary } = simulate({ ...options, runs: 2 })
        for (const direction of ['up', 'down'] as const) {
          const { data, framing, padding, records, writes, delivers, writesAdded, overhead } =
            summary[direction]
          const left = runs.map((run) => run.records.filter((made) => made.direction === direction))
          const sums = left.map((list) => list.reduce((sum, { bytes }) => sum + bytes, 0))
          const events = workload.events.filter((event) => event.direction === direction)
          expect(data).toBe(events.reduce((sum, { bytes }) => sum + bytes, 0))
          expect(Math.min(...sums)).toBe(data + framing + padding.least)
          expect(Math.max(...sums)).toBe(data + framing + padding.most)
          expect(records.most).toBe(Math.max(...left.map(({ length }) => length)))
          expect(writesAdded.most).toBe(writes.most - delivers)
          expect(overhead.most).toBeCloseTo((100 * padding.most) / (data + framing), 5)
          const padded = left.map((list) => list.reduce((sum, made) => sum + made.padding, 0))
          expect(Math.max(...padded)).toBe(padding.most)
        }
      }
    }
  })

  it('D34: the direction of the server is shaped when asked for, with a scheme of its own', () => {
    const downlinkScheme = parseScheme('stop=3\n1=700-700\n2=900-900,900-900')
    const plain = simulate(BASE)
    const shaped = simulate({ ...BASE, downlinkScheme })
    expect(plain.downlinkScheme).toBeNull()
    expect(plain.summary.down.padding.most).toBe(0)
    expect(shaped.downlinkScheme?.digest).toBe(downlinkScheme.digest)
    const sizes = shaped.runs[0]?.records
      .filter(({ direction, entry }) => direction === 'down' && entry !== null)
      .map(({ bytes }) => bytes)
    // NEGO, STREAM_ACK, the answer of 800 bytes and its head of 4.
    expect(sizes?.slice(1)).toEqual([700, 900, 900])
  })

  it('restart: each stream that is opened is shaped again', () => {
    const entries = (text: string) =>
      simulate({ ...BASE, scheme: parseScheme(text), workload: WORKLOADS.page })
        .runs.flatMap(({ records }) => records)
        .filter(({ direction }) => direction === 'up')
        .map(({ entry }) => entry)
        .slice(0, 8)
    // AUTH + NEGO + OPEN, the address; OPEN, the address, two ClientHellos.
    expect(entries('stop=2\n1=90-90')).toEqual([0, 1, null, null, null, null, null, null])
    expect(entries('stop=2\n1=90-90\nrestart=1')).toEqual([0, 1, 1, null, null, null, null, null])
    expect(entries('stop=4\n1=90-90\n2=80-80\n3=70-70\nrestart=1').slice(0, 5)).toEqual([
      0, 1, 1, 2, 3,
    ])
  })

  it('restart: the direction of the server begins again, too, with its own scheme', () => {
    const sizes = (downlinkScheme: Scheme) =>
      simulate({ ...BASE, downlinkScheme, workload: WORKLOADS.page })
        .runs.flatMap(({ records }) => records)
        .filter(({ direction }) => direction === 'down')
        .map(({ bytes }) => bytes)
        .slice(1, 4)
    // STREAM_ACK twice, then the answer to the first ClientHello.
    expect(sizes(parseScheme('stop=2\n1=90-90'))).toEqual([90, 2, 798])
    expect(sizes(parseScheme('stop=2\n1=90-90\nrestart=1'))).toEqual([90, 90, 798])
  })

  it('padControl: no control frame leaves bare while shaping lasts', () => {
    const scheme = parseScheme('stop=20\n1=100-200')
    const smallest = (padControl: boolean) => {
      const { runs } = simulate({ ...BASE, scheme, workload: WORKLOADS.page, padControl, runs: 9 })
      return Math.min(...runs.flatMap(({ records }) => records.filter(isShaped).map(sizeOf)))
    }
    expect(smallest(false)).toBe(2)
    // The smallest is then an address with its head, which is data.
    expect(smallest(true)).toBe(13 + 3)
  })

  it('N46: control frames are padded up on v1 and never on the original wire, unless told otherwise', () => {
    const scheme = parseScheme('stop=20\n1=100-200')
    const base = { scheme, downlinkScheme: scheme, workload: WORKLOADS.page, runs: 3 }
    for (const [wire, padControl] of [
      [WIRES.v1, true],
      [WIRES.legacy, false],
    ] as const) {
      expect(wire.padControl).toBe(padControl)
      const usual = simulate({ ...base, wire })
      expect(usual.padControl).toBe(padControl)
      expect(usual).toEqual(simulate({ ...base, wire, padControl }))
      expect(usual.runs).not.toEqual(simulate({ ...base, wire, padControl: !padControl }).runs)
    }
  })

  it('bad options are refused', () => {
    for (const options of [
      { runs: 0 },
      { runs: 1.5 },
      { runs: 10_001 },
      { seed: -1 },
      { seed: Number.NaN },
      { flushTime: -1 },
      { flushTime: Infinity },
      { flushTime: Number.NaN },
    ]) {
      expect(() => simulate({ ...BASE, ...options })).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION_INVALID' }),
      )
    }
  })

  it('there is a bound on records, over all runs', () => {
    expect(() => simulate({ ...BASE, workload: WORKLOADS.download, runs: 1000 })).toThrow(
      'more than 250000 records in all: take fewer runs or a smaller workload',
    )
  })
})

describe('seededRandomInt', () => {
  it('stays within its range and reaches all of it', () => {
    const draw = seededRandomInt(3)
    const seen = new Set(Array.from({ length: 400 }, () => draw(5, 15)))
    expect([...seen].sort((a, b) => a - b)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
    expect(draw(7, 8)).toBe(7)
  })

  it('neighbouring seeds, and seeds that differ above 32 bits, have nothing in common', () => {
    const first = (seed: number) => {
      const draw = seededRandomInt(seed)
      return Array.from({ length: 8 }, () => draw(0, 2 ** 31)).join()
    }
    const seeds = [0, 1, 2, 3, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]
    expect(new Set(seeds.map(first)).size).toBe(seeds.length)
    expect(first(9)).toBe(first(9))
  })
})

function isShaped({
  direction,
  entry,
  deliver,
}: {
  direction: string
  entry: number | null
  deliver: number
}) {
  return direction === 'up' && entry !== null && deliver > 0
}

function sizeOf({ bytes }: { bytes: number }): number {
  return bytes
}
