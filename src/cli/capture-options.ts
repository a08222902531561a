// `anytls capture` and `anytls report` on the command line: their options and their help.
// Must never do anything itself: what a command does is loaded when it is called for.

import { Option } from 'commander'
import type { Command } from 'commander'
import { MAX_CAPTURE_RECORDS } from '../harness/capture/capture-event.ts'
import { invalidOption } from '../errors.ts'
import type { AnyTlsError } from '../errors.ts'
import { parseHostPort } from '../codec/host-port.ts'
import type { Address } from '../codec/address.ts'
import { argument, LOG_FORMATS, LOG_LEVELS } from './options.ts'
import type { LogFormat, LogLevel } from './options.ts'
import { skipOption, wholeNumber } from './scheme-options.ts'

export interface CaptureCommandOptions {
  readonly listen: Address
  readonly to: Address
  readonly out: string
  readonly maxRecords: number
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
}

/** `capture --from`. */
export interface ConvertCommandOptions {
  readonly from: string
  /** Standard output without it, unless there are traces to be written. */
  readonly out?: string
  /** A folder. */
  readonly toTrace?: string
  readonly maxRecords: number
}

/** What the command may be called with; `--from` decides. */
type CaptureFlags = Partial<CaptureCommandOptions> & Partial<ConvertCommandOptions>

export interface ReportCommandOptions {
  readonly out: string
  readonly scheme?: string
  readonly downlinkScheme?: string
  readonly comparison?: string
  readonly skipUp: number
  readonly skipDown: number
}

export function addCapture(
  program: Command,
  run: (options: CaptureCommandOptions) => Promise<void>,
  convert: (options: ConvertCommandOptions) => Promise<void>,
): void {
  program
    .command('capture')
    .description(
      'Write down the sizes and times of TLS records: of connections that are relayed, or in a file.',
    )
    .option(LISTEN, 'where to listen; port 0 lets the system choose', argument(parseHostPort))
    .option(TO, 'where the connections go', argument(parseTarget))
    .addOption(
      new Option(
        '--from <file>',
        'instead: what is in a .pcap, .pcapng, .trace or a capture',
      ).conflicts(['listen', 'to']),
    )
    .option(OUT, 'the capture; what is there now is lost', argument(parseOut))
    .option('--to-trace <folder>', 'with --from: a trace of each connection, as maybenot reads it')
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
    .action(async (flags: CaptureFlags & Pick<CaptureCommandOptions, 'maxRecords'>) => {
      const { from, listen, to, out, toTrace } = flags
      if (from !== undefined) return convert({ ...flags, from })
      if (listen === undefined) throw missing(LISTEN)
      if (to === undefined) throw missing(TO)
      if (out === undefined) throw missing(OUT)
      if (toTrace !== undefined) {
        throw invalidOption("option '--to-trace <folder>' needs '--from <file>'")
      }
      return run({ ...(flags as CaptureCommandOptions), listen, to, out })
    })
}

const LISTEN = '-l, --listen <host:port>'
const TO = '--to <host:port>'
const OUT = '--out <file>'

/** As commander says it of options that are always required. */
function missing(option: string): AnyTlsError {
  return invalidOption(`required option '${option}' not specified`)
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
    .option(
      '--scheme <file>',
      'the target: the scheme of the captures, client to server; or builtin:NAME',
    )
    .option('--downlink-scheme <file>', 'the same, server to client')
    .option('--comparison <file>', 'from anytls compare --json: draw the AUC by records seen, too')
    .addOption(skipOption('up'))
    .addOption(skipOption('down'))
    .helpOption('-h, --help', 'show this help')
    .action((files: readonly string[], flags: ReportCommandOptions) => run(files, flags))
}

const CAPTURE_HELP = `
It needs no key: only the five bytes before each record are looked at.
The capture is text, a JSON object a line, and can be read even if the program was killed.

With --from, the TCP connections in the file are put together, and the TLS records in them written down: Ethernet
with VLANs, Linux cooked, loopback and raw IP, IPv4 and IPv6. No address, name or payload is kept. Connections
without TLS, or whose beginning is not there, are left out and counted on standard error. Without --out the
capture goes to standard output. A trace has a line time,direction,size for each record: nanoseconds, s or r as
the client sees it, bytes on the wire; with --from it becomes the one connection of a capture.`

/** Elsewhere `-` is a standard stream; nobody wants a file of that name. */
function parseOut(path: string): string {
  if (path !== '-') return path
  throw invalidOption('It must be a file, not standard output.')
}

function parseTarget(text: string): Address {
  const address = parseHostPort(text)
  if (address.port > 0) return address
  throw invalidOption('It has port 0, where nobody listens.')
}
