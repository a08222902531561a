// Brings a simulation to the terms of a report.

import { AnyTlsError, SchemeError } from '../../errors.ts'
import type { DirectionSummary, SchemeText, Simulation } from '../simulate/simulation.ts'
import { DIRECTIONS } from '../simulate/workload.ts'
import type { Direction } from '../simulate/workload.ts'
import { parseScheme } from '../../shaping/scheme.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import { formatMeasure, formatTime } from './format.ts'
import type { Fact, ReportSource, Run } from './source.ts'

/** @throws AnyTlsError `ERR_SIMULATION_INVALID` when a scheme in it cannot be used */
export function sourceFromSimulation(name: string, simulation: Simulation): ReportSource {
  const { runs, scheme, downlinkScheme } = simulation
  return {
    kind: 'simulation',
    name,
    runs: runs.map(runOf),
    schemes: {
      up: readScheme(scheme, 'scheme'),
      ...(downlinkScheme && { down: readScheme(downlinkScheme, 'downlinkScheme') }),
    },
    padding: { up: paddingOf(simulation, 'up'), down: paddingOf(simulation, 'down') },
    facts: factsOn(simulation),
    notes: [],
  }
}

function runOf({ records }: Simulation['runs'][number]): Run {
  const began = records[0]?.time ?? 0
  const traceOf = (direction: Direction) => {
    const own = records.filter((record) => record.direction === direction)
    return {
      times: own.map(({ time }) => time - began),
      sizes: own.map(({ bytes }) => bytes),
    }
  }
  return { up: traceOf('up'), down: traceOf('down') }
}

function paddingOf({ runs }: Simulation, direction: Direction): number {
  let sum = 0
  for (const { records } of runs) {
    for (const record of records) if (record.direction === direction) sum += record.padding
  }
  return sum
}

function factsOn({ wire, workload, seed, padControl, summary }: Simulation): Fact[] {
  const both = (tell: (summary: DirectionSummary) => string) =>
    DIRECTIONS.map((direction) => `${tell(summary[direction])} ${direction}`).join(', ')
  return [
    { name: 'Wire', value: wire },
    { name: 'Workload', value: workload },
    { name: 'Seed', value: `${seed}` },
    { name: 'Control frames', value: padControl ? 'padded up' : 'as the scheme leaves them' },
    {
      name: 'Writes added to a connection',
      value: both(({ writesAdded }) => formatMeasure(writesAdded.mean)),
    },
    {
      name: 'Latency added to a Deliver, mean',
      value: both(({ latency }) => formatTime(latency.mean)),
    },
  ]
}

function readScheme({ text }: SchemeText, field: string): Scheme {
  try {
    return parseScheme(text)
  } catch (cause) {
    if (!(cause instanceof SchemeError)) throw cause
    const message = `the simulation is not valid: "${field}": ${cause.message}`
    throw new AnyTlsError('ERR_SIMULATION_INVALID', message, { cause })
  }
}
