// `anytls scheme` on the command line: its commands, their options and their help.
// Must never do anything itself: what a command does is loaded when it is called for.

import { Option } from 'commander'
import type { Command } from 'commander'
import { invalidOption } from '../errors.ts'
import { DEFAULT_FLUSH_TIME } from '../harness/simulate/simulate.ts'
import { SIMULATION_LIMITS } from '../harness/simulate/simulation.ts'
import { DEFAULT_HANDSHAKE_RECORDS } from '../harness/report/from-capture.ts'
import { WIRE_NAMES } from '../harness/simulate/wire-model.ts'
import type { WireName } from '../harness/simulate/wire-model.ts'
import { DIRECTIONS } from '../harness/simulate/workload.ts'
import type { Direction } from '../harness/simulate/workload.ts'
import { WORKLOADS } from '../harness/simulate/workloads.ts'
import { argument } from './options.ts'

interface SchemeCheckOptions {
  readonly json?: boolean
}

interface SchemeShowOptions {
  readonly json?: boolean
}

interface SchemeSimulateOptions {
  readonly wire: WireName
  /** The name of a built-in workload, or a file. */
  readonly workload: string
  readonly seed: number
  readonly runs: number
  readonly flushMs: number
  /** `true`: with the same scheme; a text: the file of its own. */
  readonly shapeDownlink?: true | string
  /** Default: as the wire does. */
  readonly padControl?: boolean
  readonly json?: boolean
  readonly csv?: boolean
}

interface SchemeFitOptions {
  readonly out: string
  readonly direction: Direction
  readonly wire: WireName
  /** The name of a built-in workload, or a file. */
  readonly workload: string
  readonly records: number
  readonly maxOverhead: number
  readonly restart?: number
  readonly seed: number
  readonly skipUp: number
  readonly skipDown: number
}

/** What runs when one of the commands is called. A file may be `-`, standard input. */
export interface SchemeCommands {
  check(file: string, options: SchemeCheckOptions): Promise<void>
  show(file: string | undefined, options: SchemeShowOptions): Promise<void>
  simulate(file: string | undefined, options: SchemeSimulateOptions): Promise<void>
  fit(files: readonly string[], options: SchemeFitOptions): Promise<void>
}

/** @param load brings the commands when one is called for */
export function addScheme(program: Command, load: () => Promise<SchemeCommands>): void {
  const scheme = program
    .command('scheme')
    .description('Check, show and simulate padding schemes.')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
  scheme
    .command('check')
    .description('Tell all that is wrong or odd in a scheme, and what it asks for.')
    .argument('<file>', 'the scheme, - for standard input, or builtin:NAME')
    .option('--json', 'print JSON')
    .helpOption('-h, --help', 'show this help')
    .addHelpText(
      'after',
      '\nExit code: 0 when there are at most warnings, 2 when there are errors.',
    )
    .action(async (file: string, flags: SchemeCheckOptions) => (await load()).check(file, flags))
  scheme
    .command('show')
    .description('Print a scheme in canonical order; its digest goes to standard error.')
    .argument(
      '[file]',
      'the scheme, - for standard input, or builtin:NAME (default: builtin:default)',
    )
    .option('--json', 'print JSON, with the digest')
    .helpOption('-h, --help', 'show this help')
    .action(async (file: string | undefined, flags: SchemeShowOptions) =>
      (await load()).show(file, flags),
    )
  addSimulate(scheme, load)
  addFit(scheme, load)
}

function addFit(scheme: Command, load: () => Promise<SchemeCommands>): void {
  scheme
    .command('fit')
    .description('Make a scheme whose records look like those of captures.')
    .argument('<captures...>', 'what is to be imitated: from anytls capture, or simulations')
    .requiredOption('--out <file>', 'the scheme; what is there now is lost')
    .addOption(
      new Option('--direction <direction>', 'whose records: of the client, or of the server')
        .choices(DIRECTIONS)
        .default('up'),
    )
    .addOption(new Option('--wire <wire>', 'what is spoken').choices(WIRE_NAMES).default('v1'))
    .option(
      '--workload <name>',
      `what goes through the tunnel: ${Object.keys(WORKLOADS).join(', ')}, or a JSON file`,
      'page',
    )
    .option('--records <number>', 'how many to imitate', wholeNumber(1, MAX_FIT_RECORDS), 16)
    .option(
      '--max-overhead <percent>',
      'how much padding may be added, in percent of the bytes of that direction',
      wholeNumber(0, 1_000_000),
      200,
    )
    .option(
      '--restart <index>',
      'shape streams that are opened later, too, from this index on',
      wholeNumber(1, MAX_FIT_RECORDS),
    )
    .option('--seed <number>', 'the same seed gives the same draws', parseSeed, 1)
    .addOption(skipOption('up'))
    .addOption(skipOption('down'))
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', FIT_HELP)
    .action(async (files: readonly string[], flags: SchemeFitOptions) =>
      (await load()).fit(files, flags),
    )
}

const FIT_HELP = `
It takes at least 20 connections. Each record gets the range that comes nearest, and the table tells, by
index, how far unshaped and shaped records are from the captures (Wasserstein-1 in bytes), how near one
range can come at best, and what stands in the way:
  range     the sizes are no even spread, and the language knows no other
  first     AUTH, negotiation and OPEN are longer, or nothing pads that record
  data      the workload has more data than room, or no record there
  overhead  shaping ends before: more would cost more than allowed, or than clients accept`

function addSimulate(scheme: Command, load: () => Promise<SchemeCommands>): void {
  scheme
    .command('simulate')
    .description('Run a workload through the shaper and tell what would leave.')
    .argument(
      '[file]',
      'the scheme, - for standard input, or builtin:NAME (default: builtin:default)',
    )
    .addOption(new Option('--wire <wire>', 'what is spoken').choices(WIRE_NAMES).default('v1'))
    .option(
      '--workload <name>',
      `${Object.keys(WORKLOADS).join(', ')}, or a JSON file`,
      'handshake',
    )
    .option('--seed <number>', 'the same seed gives the same draws', parseSeed, 1)
    .option('--runs <number>', 'how often, with other draws each time', parseRuns, 20)
    .option('--flush-ms <ms>', 'how long one flush takes', parseFlush, DEFAULT_FLUSH_TIME)
    .option(
      '--shape-downlink [file]',
      "shape the server's direction too: with the same scheme, that of the file, or builtin:NAME",
    )
    .option(
      '--pad-control',
      'pad up control frames that the scheme leaves bare (default: on v1, as it does)',
    )
    .option('--no-pad-control', 'leave them bare (default: on legacy)')
    .addOption(new Option('--json', 'print JSON, for anytls report').conflicts('csv'))
    .option('--csv', 'print one line for each TLS record')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', SIMULATE_HELP)
    .action(async (file: string | undefined, flags: SchemeSimulateOptions) =>
      (await load()).simulate(file, flags),
    )
}

const SIMULATE_HELP = `
A workload of your own:
  {
    "name": "one question", "about": "optional: where the numbers come from",
    "events": [
      { "time": 0, "direction": "up", "bytes": 13, "open": true },
      { "time": 2.5, "direction": "up", "bytes": 382 },
      { "time": 3, "direction": "down", "bytes": 800, "stream": 1, "end": true }
    ]
  }
  time       ms since the beginning, never falling
  direction  "up" (client to server) or "down"
  bytes      what an application writes at once
  stream     by the order of opening, from 1 (default: the one opened last)
  open       this opens a stream; its first bytes are the address of the target
  end        that side ends its direction of the stream

Time: while shaping lasts, a Write leaves when the flush of the one before it is over.
Left out: flow control, keepalive, and the time that a network takes.`

/** More would be no beginning any more. */
const MAX_FIT_RECORDS = 64

/** Records of a TLS handshake: more than any has. */
const MAX_SKIP = 1_000

const SKIP_TEXT = {
  up: 'records of a TLS handshake that look like data, from the client',
  down: 'the same from the server, behind those of the client: session tickets',
}

/** How many records of a capture belong to the TLS handshake, for every command that reads captures. */
export function skipOption(direction: 'up' | 'down'): Option {
  return new Option(`--skip-${direction} <number>`, SKIP_TEXT[direction])
    .argParser(wholeNumber(0, MAX_SKIP))
    .default(DEFAULT_HANDSHAKE_RECORDS[direction])
}

const parseSeed = wholeNumber(0, Number.MAX_SAFE_INTEGER)
const parseRuns = wholeNumber(1, SIMULATION_LIMITS.maxRuns)
const parseFlush = argument((text) => {
  const number = /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : Infinity
  if (number <= SIMULATION_LIMITS.maxFlushTime) return number
  throw invalidOption(`It is not a number from 0 to ${SIMULATION_LIMITS.maxFlushTime}.`)
})

export function wholeNumber(least: number, most: number): (text: string) => number {
  return argument((text) => {
    const number = /^\d{1,16}$/.test(text) ? Number(text) : Infinity
    if (number >= least && number <= most) return number
    throw invalidOption(`It is not a whole number from ${least} to ${most}.`)
  })
}
