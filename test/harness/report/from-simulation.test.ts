import { describe, expect, it } from 'vitest'
import { sourceFromSimulation } from '../../../src/harness/report/from-simulation.ts'
import { sizesOf } from '../../../src/harness/report/source.ts'
import type { DirectionSummary, Simulation } from '../../../src/harness/simulate/simulation.ts'

const spread = (mean: number) => ({ least: 0, mean, most: mean })

const summary: DirectionSummary = {
  ...{ data: 100, framing: 10, delivers: 2, writes: spread(3), writesAdded: spread(1.5) },
  ...{ records: spread(3), padding: spread(20), overhead: spread(18), latency: spread(0.25) },
}

const record = { index: 0, deliver: 0, write: 0, entry: 0 }

const simulation: Simulation = {
  ...{ format: 'anytls-simulation', version: 1, wire: 'v1', padControl: false, workload: 'page' },
  ...{ seed: 7, flushTime: 0.03, downlinkScheme: null },
  scheme: { text: 'stop=2\n1=100-200', digest: '0'.repeat(32) },
  summary: { up: summary, down: { ...summary, latency: spread(0) } },
  runs: [
    {
      records: [
        { ...record, time: 3, direction: 'up', bytes: 150, padding: 20 },
        { ...record, time: 4, direction: 'down', bytes: 900, padding: 0 },
        { ...record, index: 1, time: 5.5, direction: 'up', bytes: 60, padding: 5 },
      ],
    },
    { records: [{ ...record, time: 3, direction: 'up', bytes: 160, padding: 1 }] },
  ],
}

describe('a simulation', () => {
  const source = sourceFromSimulation('sim.json', simulation)

  it('gives the sizes as they are, by direction, and times from the first record', () => {
    expect(source.runs).toEqual([
      { up: { times: [0, 2.5], sizes: [150, 60] }, down: { times: [1], sizes: [900] } },
      { up: { times: [0], sizes: [160] }, down: { times: [], sizes: [] } },
    ])
    expect(sizesOf(source, 'up')).toEqual([150, 60, 160])
  })

  it('gives padding, the scheme of each direction that has one, and what it was made with', () => {
    expect(source).toMatchObject({ kind: 'simulation', name: 'sim.json' })
    expect(source.padding).toEqual({ up: 26, down: 0 })
    expect(source.schemes.up?.stop).toBe(2)
    expect(source.schemes.down).toBeUndefined()
    expect(source.facts.map(({ name, value }) => `${name}: ${value}`)).toEqual([
      'Wire: v1',
      'Workload: page',
      'Seed: 7',
      'Control frames: as the scheme leaves them',
      'Writes added to a connection: 1.5 up, 1.5 down',
      'Latency added to a Deliver, mean: 250 µs up, 0 ms down',
    ])
    const shaped = { ...simulation, downlinkScheme: simulation.scheme, padControl: true }
    const other = sourceFromSimulation('x', shaped)
    expect(other.schemes.down?.stop).toBe(2)
    expect(other.facts[3]).toEqual({ name: 'Control frames', value: 'padded up' })
  })

  it('Bad input: with a scheme that cannot be read is refused in one line', () => {
    const scheme = { ...simulation.scheme, text: 'stop=1\n0=x' }
    expect(() => sourceFromSimulation('x', { ...simulation, scheme })).toThrow(
      expect.objectContaining({
        code: 'ERR_SIMULATION_INVALID',
        message: expect.stringMatching(/"scheme": line 2, column 3: [^\n]*$/) as unknown,
      }),
    )
  })
})
