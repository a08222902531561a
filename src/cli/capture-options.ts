// `anytls capture` and `anytls report` on the command line: their options and their help.
// Must never do anything itself: what a command does is loaded when it is called for.

import { Option } from 'commander'
import type { Command } from 'commander'
import { MAX_CAPTURE_RECORDS } from '../harness/capture/capture-event.ts'
import { AnyTlsError } from '../errors.ts'
import { DEFAULT_HANDSHAKE_RECORDS } from '../harness/report/handshake-records.ts'
import { parseHostPort } from '../codec/host-port.ts'
import type { Address } from '../codec/address.ts'
import { LOG_FORMATS, LOG_LEVELS } from './logger.ts'
import type { LogFormat, LogLevel } from './logger.ts'
import { argument } from './options.ts'
import { MAX_SKIP, wholeNumber } from './scheme-options.ts'

export interface CaptureCommandOptions {
  readonly listen: Address
  readonly to: Address
  readonly out: string
  readonly maxRecords: number
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
}

export interface ReportCommandOptions {
  readonly out: string
  readonly scheme?: string
  readonly downlinkScheme?: string
  readonly skipUp: number
  readonly skipDown: number
}

export function addCapture(
  program: Command,
  run: (options: CaptureCommandOptions) => Promise<void>,
): void {
  program
    .command('capture')
    .description('Relay connections and write down the sizes and times of the TLS records in them.')
    .requiredOption(
      '-l, --listen <host:port>',
      'where to listen; port 0 lets the system choose',
      argument(parseHostPort),
    )
    .requiredOption('--to <host:port>', 'where the connections go', argument(parseTarget))
    .requiredOption('--out <file>', 'the capture; what is there now is lost', argument(parseOut))
    .option(
      '--max-records <number>',
      'how many records to write down; then it relays on without',
      wholeNumber(1, MAX_CAPTURE_RECORDS),
      MAX_CAPTURE_RECORDS,
    )
    .addOption(new Option('--log-level <level>', 'what to log').choices(LOG_LEVELS).default('info'))
    .addOption(
      new Option('--log-format <format>', 'how to log').choices(LOG_FORMATS).default('text'),
    )
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', CAPTURE_HELP)
    .action((flags: CaptureCommandOptions) => run(flags))
}

export function addReport(
  program: Command,
  run: (files: readonly string[], options: ReportCommandOptions) => Promise<void>,
): void {
  program
    .command('report')
    .description('Show captures and simulations side by side, in one HTML page.')
    .argument('<files...>', 'from anytls capture and anytls scheme simulate --json')
    .requiredOption('--out <file>', 'the page; what is there now is lost', argument(parseOut))
    .option('--scheme <file>', 'the target: the scheme of the captures, client to server')
    .option('--downlink-scheme <file>', 'the same, server to client')
    .option(
      '--skip-up <number>',
      'records of a TLS handshake that look like data, from the client',
      wholeNumber(0, MAX_SKIP),
      DEFAULT_HANDSHAKE_RECORDS.up,
    )
    .option(
      '--skip-down <number>',
      'the same from the server, behind those of the client: session tickets',
      wholeNumber(0, MAX_SKIP),
      DEFAULT_HANDSHAKE_RECORDS.down,
    )
    .helpOption('-h, --help', 'show this help')
    .action((files: readonly string[], flags: ReportCommandOptions) => run(files, flags))
}

const CAPTURE_HELP = `
It needs no key: only the five bytes before each record are looked at.
The capture is text, a JSON object a line, and can be read even if the program was killed.`

/** Elsewhere `-` is a standard stream; nobody wants a file of that name. */
function parseOut(path: string): string {
  if (path !== '-') return path
  throw new AnyTlsError('ERR_OPTION_INVALID', 'It must be a file, not standard output.')
}

function parseTarget(text: string): Address {
  const address = parseHostPort(text)
  if (address.port > 0) return address
  throw new AnyTlsError('ERR_OPTION_INVALID', 'It has port 0, where nobody listens.')
}
