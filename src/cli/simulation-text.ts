// Simulations as text for people and as CSV for spreadsheets.

import type { SimulatedDeliver } from '../harness/simulate/simulate.ts'
import type { DirectionSummary, Simulation } from '../harness/simulate/simulation.ts'
import type { Direction } from '../harness/simulate/workload.ts'
import type { Spread } from '../shaping/scheme-summary.ts'
import { escapeControls } from './printable.ts'
import { formatNumber, formatTable } from './text-table.ts'

/**
 * The Delivers of one run, then the numbers of all runs.
 *
 * @param first the Delivers of the first run
 */
export function formatSimulation(
  simulation: Simulation,
  first: readonly SimulatedDeliver[],
): string {
  const { wire, scheme, downlinkScheme, workload, seed, runs, flushTime } = simulation
  const what = [
    `workload ${escapeControls(workload)}`,
    `wire ${wire}`,
    `scheme ${scheme.digest}`,
    ...(downlinkScheme === null ? [] : [`downlink ${downlinkScheme.digest}`]),
    `seed ${seed}`,
    `runs ${runs.length}`,
    `flush ${formatNumber(flushTime, 6)} ms`,
  ].join(', ')
  const directions: Direction[] = downlinkScheme === null ? ['up'] : ['up', 'down']
  return [
    `${what}\n`,
    ...directions.map((direction) => formatDelivers(first, direction)),
    formatTotals(simulation),
  ].join('\n')
}

/** One line a record. */
export function formatSimulationCsv({ runs }: Simulation): string {
  const lines = ['run,index,time,direction,bytes,deliver,write,entry,padding']
  for (const [run, { records }] of runs.entries()) {
    for (const { index, time, direction, bytes, deliver, write, entry, padding } of records) {
      const fields = [index, time, direction, bytes, deliver, write, entry ?? '', padding]
      lines.push([run + 1, ...fields].join(','))
    }
  }
  return `${lines.join('\n')}\n`
}

const DIRECTION_NAMES = { up: 'client to server', down: 'server to client' } as const

function formatDelivers(run: readonly SimulatedDeliver[], direction: Direction): string {
  const all = run.filter((made) => made.direction === direction)
  const shaped = all.filter(({ entry }) => entry !== null)
  const head = ['Deliver', 'ms', 'data', 'frames', 'padding', '%', '+Writes', '+ms', 'Writes']
  const rows = shaped.map(({ entry, time, data, framing, padding, writes, latency }) => [
    String(entry),
    formatNumber(time),
    String(data),
    String(framing),
    String(padding),
    formatNumber((100 * padding) / (data + framing)),
    String(writes.length - 1),
    formatNumber(latency, 2),
    writes.map(({ bytes }) => bytes).join(' '),
  ])
  const rest = all.length - shaped.length
  const passed = rest === 0 ? '' : `and ${rest} more that pass as they are\n`
  // Not in the table, whose right edge the Writes would push out.
  const table = formatTable([head, ...rows].map((row) => row.slice(0, -1)))
  const lines = table.trimEnd().split('\n')
  const listed = lines.map((line, place) => `${line}  ${[head, ...rows][place]?.at(-1) ?? ''}\n`)
  return `first run, ${DIRECTION_NAMES[direction]}\n${listed.join('')}${passed}`
}

function formatTotals({ summary }: Simulation): string {
  const rows = [['all runs', 'up: least', 'mean', 'most', 'down: least', 'mean', 'most']]
  const add = (name: string, spread: (summary: DirectionSummary) => Spread, digits = 1): void => {
    const numbers = [summary.up, summary.down].flatMap((direction) => {
      const { least, mean, most } = spread(direction)
      return [least, mean, most].map((number) => formatNumber(number, digits))
    })
    rows.push([name, ...numbers])
  }
  add('data, bytes', ({ data }) => always(data))
  add('frames, bytes', ({ framing }) => always(framing))
  add('padding, bytes', ({ padding }) => padding)
  add('padding, %', ({ overhead }) => overhead)
  add('Delivers', ({ delivers }) => always(delivers))
  add('Writes added', ({ writesAdded }) => writesAdded)
  add('TLS records', ({ records }) => records)
  add('latency of a Deliver, ms', ({ latency }) => latency, 3)
  return formatTable(rows)
}

function always(number: number): Spread {
  return { least: number, mean: number, most: number }
}
