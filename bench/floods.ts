// What one client with the password can do to a server and to its other clients: each flood on each wire
// against a proxy with 512 MiB of heap, held against the limits. `npm run bench:floods`, or with
// `-- --only=OPEN+RST --wire=v1 --seconds=2 --rest=3`.
import { cpus } from 'node:os'
import { FLOODS } from './flood-kinds.ts'
import type { Targets } from './flood-kinds.ts'
import { measureFlood } from './flood-measure.ts'
import type { FloodFigures } from './flood-measure.ts'
import { FORGED } from './flood-wires.ts'
import type { WireKey } from './flood-wires.ts'

const MIB = 1_048_576
const WIRES = Object.keys(FORGED) as WireKey[]
/** To find out whether a wire has a flood at all. */
const NOWHERE = { host: '127.0.0.1', port: 1 }
const NO_TARGETS: Targets = { hang: NOWHERE, fast: NOWHERE, source: NOWHERE, refused: NOWHERE }

function argument(name: string): string | undefined {
  const start = `--${name}=`
  return process.argv.find((one) => one.startsWith(start))?.slice(start.length)
}

const limit = Number(argument('seconds') ?? 5) * 1_000
const rest = Number(argument('rest') ?? 10) * 1_000
const only = argument('only')
const onlyWire = argument('wire')

/** The limits of a flood, and whether its figures keep them. */
function shortfalls(figures: FloodFigures): string[] {
  const { longestWork = Infinity, calm, during, peak = Infinity } = figures
  const { memoryBefore, memoryAfter = Infinity, lives } = figures
  const checks: readonly [string, boolean][] = [
    // Of the processor's time: on a machine with other work the clock says more about that.
    ['turn ≤ 50 ms', longestWork <= 50],
    ['p99 ≤ 2 × calm + 20 ms', during <= 2 * calm + 20],
    ['RSS ≤ 150 MiB', peak <= 150 * MIB],
    ['memory ≤ 1.3 × the start', memoryAfter <= 1.3 * memoryBefore],
    ['the server lives', lives],
  ]
  return checks.filter(([, kept]) => !kept).map(([name]) => name)
}

function ms(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(value < 10 ? 1 : 0)
}

function mib(value: number | undefined): string {
  return value === undefined ? '–' : (value / MIB).toFixed(1)
}

const machine = cpus()[0]?.model.trim() ?? 'unknown processor'
console.log(
  `Node ${process.version}, ${cpus().length} cores, ${machine}; memory in MiB, times in ms\n`,
)
const HEAD = [
  'flood',
  'wire',
  'sent, MB',
  'longest turn (of it work)',
  'p99 of others calm → during',
  'peak RSS',
  'heap + external before → after',
  'verdict',
]
console.log(`| ${HEAD.join(' | ')} |`)
console.log(`|${' --- |'.repeat(HEAD.length)}`)
for (const { name, plan } of FLOODS) {
  if (only !== undefined && !name.includes(only)) continue
  for (const wire of WIRES) {
    if (onlyWire !== undefined && wire !== onlyWire) continue
    if (plan(FORGED[wire], NO_TARGETS) === undefined) continue
    const figures = await measureFlood(wire, name, { limit, rest })
    const short = shortfalls(figures)
    const row = [
      name,
      FORGED[wire].name,
      `${(figures.sent / 1e6).toFixed(1)}${figures.ended ? ', then ended by the server' : ''}`,
      `${ms(figures.longestTurn)} (${ms(figures.longestWork)})`,
      `${ms(figures.calm)} → ${ms(figures.during)}`,
      mib(figures.peak),
      `${mib(figures.memoryBefore)} → ${mib(figures.memoryAfter)}`,
      short.length === 0 ? 'reached' : `short: ${short.join(', ')}`,
    ]
    console.log(`| ${row.join(' | ')} |`)
  }
}
process.exit(0)
