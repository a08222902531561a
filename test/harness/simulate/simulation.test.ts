// The JSON of a simulation: what is read, and that nothing else is.
import { describe, expect, it } from 'vitest'
import {
  DEFAULT_SCHEME,
  parseScheme,
  parseSimulation,
  RECORD_OVERHEAD,
  simulate,
  WIRES,
  WORKLOADS,
} from '../../../src/shaping.ts'

const simulation = simulate({
  scheme: DEFAULT_SCHEME,
  downlinkScheme: parseScheme('stop=2\n1=500-600'),
  wire: WIRES.legacy,
  workload: WORKLOADS.page,
  runs: 3,
  padControl: true,
})

type Json = Record<string, unknown>

describe('parseSimulation', () => {
  it('reads what simulate gives', () => {
    expect(parseSimulation(JSON.stringify(simulation))).toEqual(simulation)
    const plain = simulate({
      scheme: DEFAULT_SCHEME,
      wire: WIRES.v1,
      workload: WORKLOADS.shell,
    })
    expect(parseSimulation(JSON.stringify(plain, null, 2))).toEqual(plain)
  })

  const broken: [string, (json: Json) => unknown, RegExp][] = [
    ['another format', (json) => (json.format = 'anytls-capture'), /"format" must be/],
    ['another version', (json) => (json.version = 2), /"version" must be 1/],
    ['another wire', (json) => (json.wire = 'v2'), /"wire" must be "v1" or "legacy"/],
    ['no scheme', (json) => delete json.scheme, /"scheme" must be an object/],
    ['a digest that is none', (json) => (json.scheme = { text: 'stop=1', digest: '' }), /"digest"/],
    ['no downlink scheme', (json) => delete json.downlinkScheme, /"downlinkScheme" must be/],
    ['a seed below 0', (json) => (json.seed = -1), /"seed" must be a whole number/],
    ['no flush time', (json) => delete json.flushTime, /"flushTime" must be a number/],
    ['runs that are no list', (json) => (json.runs = {}), /"runs" must be a list/],
    ['a run that is none', (json) => (json.runs = [7]), /run 1 must be an object/],
    ['an unknown field', (json) => (json.more = 1), /there is no field "more"/],
    ['no summary', (json) => delete json.summary, /"summary" must be an object/],
    [
      'a summary without a number',
      (json) =>
        (json.summary = { ...simulation.summary, up: { ...simulation.summary.up, data: 'x' } }),
      /a direction of "summary": "data" must be a whole number/,
    ],
  ]
  it.each(broken)('refuses %s', (_, breakIt, message) => {
    const json = structuredClone(simulation) as unknown as Json
    breakIt(json)
    expect(() => parseSimulation(JSON.stringify(json))).toThrow(message)
    expect(() => parseSimulation(JSON.stringify(json))).toThrow(
      expect.objectContaining({ code: 'ERR_SIMULATION_INVALID' }),
    )
  })

  const records: [string, Json, RegExp][] = [
    ['index', { index: 7 }, /run 2, record 3: "index" must be/],
    ['time', { time: -1 }, /record 3: "time" must be a number/],
    ['direction', { direction: 'in' }, /record 3: "direction" must be "up" or "down"/],
    ['size', { bytes: 16_385 }, /record 3: "bytes" must be a whole number from 1 to 16384/],
    ['empty', { bytes: 0 }, /record 3: "bytes" must be/],
    ['padding', { padding: 16_000 }, /record 3: "padding" must be/],
    ['deliver', { deliver: 1e6 }, /record 3: "deliver" must be/],
    ['write', { write: -1 }, /record 3: "write" must be/],
    ['entry', { entry: 'x' }, /record 3: "entry" must be/],
    ['field', { size: 4 }, /record 3: there is no field "size"/],
  ]
  it.each(records)('refuses a record with a bad one: %s', (_, change, message) => {
    const json = structuredClone(simulation) as unknown as { runs: { records: Json[] }[] }
    Object.assign(json.runs[1]!.records[2]!, change)
    expect(() => parseSimulation(JSON.stringify(json))).toThrow(message)
  })

  it('there may be 250,000 records in all runs together, and no JSON at all is refused', () => {
    const record = simulation.runs[0]!.records[0]!
    const runs = [200_000, 50_001].map((length) => ({
      records: Array.from({ length }, (_, index) => ({ ...record, index })),
    }))
    expect(() => parseSimulation(JSON.stringify({ ...simulation, runs }))).toThrow(
      /run 2: "records" has 50001 items; there may be 50000/,
    )
    expect(() => parseSimulation('')).toThrow(/it is not JSON/)
  })

  it('RFC 8446, 5.2: a record is 22 bytes longer on the wire', () => {
    expect(RECORD_OVERHEAD).toBe(5 + 1 + 16)
  })
})
