// The command line: the commands, their options and their help.
// Must never do anything itself: what a command does is loaded when it is called for.

import { Command, Option } from 'commander'
import { parsePin } from '../tls/secure-socket.ts'
import { parseBypass } from '../proxy/bypass.ts'
import { parseFallbackEndpoint } from '../fallback/fallback-endpoint.ts'
import { VERSION } from '../version.ts'
import { formatHostPort, parseHostPort } from '../codec/host-port.ts'
import { parseAdminPlace } from '../serve/admin/place.ts'
import { DRAIN_TIMEOUT } from './lifecycle.ts'
import { LINK_FORMATS } from '../serve/link-formats.ts'
import * as options from './options.ts'
import { LOG_FORMATS, LOG_LEVELS } from './options.ts'
import type { ClientCommandOptions, LinkCommandOptions, ServerCommandOptions } from './options.ts'
import { addCapture, addReport } from './capture-options.ts'
import type {
  CaptureCommandOptions,
  ConvertCommandOptions,
  ReportCommandOptions,
} from './capture-options.ts'
import { ConfigurableCommand } from './config-options.ts'
import { addCompare } from './compare-options.ts'
import type { CompareCommandOptions } from './compare-options.ts'
import { addScheme } from './scheme-options.ts'
import type { SchemeCommands } from './scheme-options.ts'
import { addUser } from './user-options.ts'
import type { UserCommands } from './user-options.ts'

/** Where options take padding schemes from. */
const SCHEME_PLACES = 'a file or builtin:NAME (default, flights)'

/** What runs when a command is called; it resolves when the program is to end. */
export interface Commands {
  scheme(): Promise<SchemeCommands>
  user(): Promise<UserCommands>
  server(options: ServerCommandOptions): Promise<void>
  client(options: ClientCommandOptions): Promise<void>
  link(server: string, options: LinkCommandOptions): Promise<void>
  capture(options: CaptureCommandOptions): Promise<void>
  convert(options: ConvertCommandOptions): Promise<void>
  report(files: readonly string[], options: ReportCommandOptions): Promise<void>
  compare(files: readonly string[], options: CompareCommandOptions): Promise<void>
  checkConfig(file: string, candidates: readonly Command[]): Promise<void>
}

/** The program for `parseAsync`. It throws CommanderError instead of ending the process. */
export function createProgram(commands: Commands): Command {
  const program = new Command('anytls')
    .description('A proxy over TLS that looks like an ordinary web server to everyone else.')
    .version(VERSION, '-V, --version')
    // Errors are told in one place (run.ts), help where it was asked for.
    .configureOutput({ writeErr: () => {} })
    .exitOverride()
  addServer(program, commands)
  addClient(program, commands)
  addLink(program, commands)
  addUser(program, () => commands.user())
  addScheme(program, () => commands.scheme())
  addCapture(
    program,
    (flags) => commands.capture(flags),
    (flags) => commands.convert(flags),
  )
  addReport(program, (files, flags) => commands.report(files, flags))
  addCompare(program, (files, flags) => commands.compare(files, flags))
  addConfig(program, (file, candidates) => commands.checkConfig(file, candidates))
  for (const command of program.commands.flatMap((one) => [one, ...one.commands])) {
    refuseTwice(command)
  }
  return program
}

function configurable(program: Command, name: string): ConfigurableCommand {
  const command = new ConfigurableCommand(name).copyInheritedSettings(program)
  program.addCommand(command)
  return command
}

function addConfig(program: Command, check: Commands['checkConfig']): void {
  // What reads TOML is loaded only where there is some.
  program.hook('preSubcommand', async (_, command) => {
    const isGiven = program.args.some((arg) => arg === '--config' || arg.startsWith('--config='))
    if (!(command instanceof ConfigurableCommand) || !isGiven) return
    command.readConfig = (await import('./toml-file.ts')).readConfigFile
  })
  const config = program
    .command('config')
    .description('Check a configuration file, as --config of server and client takes it.')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', CONFIG_HELP)
  config
    .command('check')
    .description('Tell what is wrong with a configuration file, with line and column.')
    .argument('<file>', 'the file, TOML')
    .helpOption('-h, --help', 'show this help')
    .action((file: string) =>
      check(
        file,
        program.commands.filter((command) => command instanceof ConfigurableCommand),
      ),
    )
}

const CONFIG_HELP = `
The keys are the long names of the options. Those on the command line count more than those in the file.
  server = ["anytls://...", "b.example.net:443"]   # what may be given several times is a list
  listen = "127.0.0.1:1080"
  min-idle = 2
  insecure = false                                 # --no-link of the server is link = false`

const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory'

/** Options whose last value would win silently over another one that somebody meant. */
const ONCE = ['password', 'password-file', 'listen', 'cert', 'key', 'sni', 'pin']

function refuseTwice(command: Command): void {
  for (const option of command.options.filter((option) => ONCE.includes(option.name()))) {
    let given = false
    command.on(`option:${option.name()}`, () => {
      if (given) command.error(`error: option '${option.flags}' is given twice`)
      given = true
    })
  }
}

function addServer(program: Command, commands: Commands): void {
  const command = configurable(program, 'server')
    .description('Accept clients with the password; everyone else sees a web site.')
    .addOption(listenOption(formatHostPort(options.DEFAULT_LISTEN), false))
  addPasswordOptions(command)
    .addOption(
      new Option(
        '--users <place>',
        'users with passwords of their own, followed while the server runs: a file that `anytls user` writes,' +
          ' redis://HOST (rediss:// with TLS, ?password-file=FILE, ?sentinel=MASTER, ?cluster=1),' +
          ' or a panel, uniproxy+https://PANEL?node_id=N (its token in ANYTLS_PANEL_TOKEN or &token-file=FILE)',
      )
        .env(options.USERS_VARIABLE)
        .argParser(options.parsePlace),
    )
    .option('--cert <file>', 'certificate chain, PEM (default: self-signed, made once and kept)')
    .option('--key <file>', 'private key of the certificate, PEM')
    .option(
      '--acme <name...>',
      'get the certificate for these names from an authority, whose terms you agree to',
      options.addAcmeName,
    )
    .option('--acme-email <address>', 'where the authority may write to')
    .addOption(
      new Option('--acme-directory <url>', 'the authority')
        .argParser(options.argument(options.parseDirectory))
        .default(LETS_ENCRYPT, "Let's Encrypt"),
    )
    .option(
      '--acme-http <host:port>',
      'show the authority by HTTP that the names are ours, here; reached as port 80 (default: by TLS, reached as 443)',
      options.argument(options.parseListen),
    )
    .option(
      '--fallback <url>',
      'where other connections go, http://HOST:PORT (default: a small built-in site)',
      options.argument(parseFallbackEndpoint),
    )
    .option(
      '--fallback-h2 <url>',
      'where other connections go that speak HTTP/2 (prior knowledge)',
      options.argument(parseFallbackEndpoint),
    )
    .addOption(
      new Option(
        '--fallback-proxy-protocol <version>',
        'tell the fallback who connects, with the PROXY protocol',
      ).choices(['v1', 'v2']),
    )
    .option(
      '--block <network...>',
      'what nobody reaches through the server: ADDRESS/BITS, or private for all that is not public',
      options.addBlock,
    )
    .option(
      '--accept-proxy-protocol <network...>',
      'balancers in front, ADDRESS/BITS: they must begin with a PROXY protocol header (v1 or v2)',
      options.addNetwork,
    )
    .addOption(
      new Option('--on-violation <action>', 'what a client gets that breaks the protocol')
        .choices(['alert', 'redirect'])
        .default('alert'),
    )
    .option(
      '--padding-scheme <scheme>',
      `padding scheme for clients, ${SCHEME_PLACES} (default: builtin:default)`,
    )
    .option(
      '--shape-downlink [scheme]',
      `shape what the server sends, too: as the padding scheme for clients has it, or by another, ${SCHEME_PLACES}`,
    )
    .option('--no-legacy', 'serve ANYTLS v1 alone, and no clients of the original wire')
    .option('--legacy-tls12', 'let clients of the original wire in that speak TLS 1.2 alone')
    .option(
      '--public-host <host[:port]>',
      'where clients reach this server, for the share link (default: what it listens on)',
      options.argument(options.parsePublicHost),
    )
    .option(
      '--admin <place>',
      'metrics, an API and a page to run the server: HOST:PORT or unix:PATH',
      options.argument(parseAdminPlace),
    )
    .option(
      '--admin-token-file <file>',
      'file with the token that --admin wants of everybody; needed where others can reach it',
    )
    .addOption(
      new Option('--drain-time <seconds>', 'how long open streams may go on after SIGTERM')
        .argParser(options.argument(options.parseDrainTime))
        .default(DRAIN_TIMEOUT, String(DRAIN_TIMEOUT / 1_000)),
    )
    .option(
      '--workers <number|auto>',
      'serve in so many processes, auto for one on each core (default: in this one)',
      options.argument(options.parseWorkers),
    )
    .option('--no-link', 'do not print the share link, which holds the password')
  addCommonOptions(command).action((flags: ServerCommandOptions) => commands.server(flags))
}

function addClient(program: Command, commands: Commands): void {
  const command = configurable(program, 'client')
    .description('A local SOCKS5 and HTTP proxy that goes through the server.')
    .addOption(listenOption('127.0.0.1:1080'))
    .requiredOption(
      '-s, --server <server>',
      'the server, HOST:PORT or a share link anytls://… (one with a password shows in the process list);' +
        ' given several times: the quickest that is well',
      options.list(options.parseServer),
    )
  addIdentityOptions(addPasswordOptions(command))
    .addOption(
      new Option(
        '--wire <wire>',
        'what to speak: ANYTLS v1, the original AnyTLS wire, or what the server turns out to know',
      )
        .choices(['auto', 'v1', 'legacy'])
        .default('auto'),
    )
    .option(
      '--padding-scheme <scheme>',
      `what shapes connections until the server has sent its own, ${SCHEME_PLACES} (default: builtin:default)`,
    )
    .option(
      '--min-idle <number>',
      'idle sessions to keep open',
      options.argument(options.parseMinIdle),
      0,
    )
    .addOption(
      new Option(
        '--reply-wait <ms|exact>',
        'how long the server may take to say that a target is out of reach; a program is told that it may' +
          ' speak then, and a later refusal resets its connection (exact: however long it takes)',
      )
        .argParser(options.argument(options.parseReplyWait))
        .default(10),
    )
    .option(
      '--proxy-auth-file <file>',
      'file with user:password that programs must give to this proxy (or ANYTLS_PROXY_AUTH)',
    )
  command
    .option(
      '--bypass <target>',
      'what is reached without the server: NAME, .SUFFIX, ADDRESS or ADDRESS/BITS; may be given several times',
      options.list(options.argument(parseBypass)),
    )
    .addOption(
      new Option(
        '--ca <file>',
        'certificates to trust instead of those of the system, PEM',
      ).conflicts(['pin', 'insecure']),
    )
  addCommonOptions(command).action((flags: ClientCommandOptions) => commands.client(flags))
}

function addLink(program: Command, commands: Commands): void {
  const command = program
    .command('link')
    .description('Print the share link of a server in its standard form.')
    .argument(
      '<server>',
      'a share link of any form, HOST:PORT, or - to read it from standard input',
    )
  addIdentityOptions(addPasswordOptions(command))
    .option('--name <name>', 'what the link calls itself')
    .option('--qr', 'show the QR code too, on standard error')
    .addOption(
      new Option('--format <format>', 'a share link, or what another program wants to be told')
        .choices(LINK_FORMATS)
        .default('uri'),
    )
    .option('--cert <file>', 'certificate of the server, PEM, to be pinned')
    .option(
      '--state-dir <folder>',
      'where the server keeps its certificate, if it is the pinned one',
    )
    .helpOption('-h, --help', 'show this help')
    .action((server: string, flags: LinkCommandOptions) => commands.link(server, flags))
}

/** How the server is known to be the right one. */
function addIdentityOptions(command: Command): Command {
  return command
    .option('--sni <name>', 'name to ask for in TLS', options.argument(options.parseServerName))
    .option(
      '--pin <sha256>',
      'accept the certificate with this fingerprint and no other',
      options.argument(parsePin),
    )
    .addOption(
      new Option(
        '--insecure',
        'accept any certificate: whoever is in between can read along',
      ).conflicts('pin'),
    )
}

/** @param applies whether it is the default for certain, or something else may name another */
function listenOption(address: string, applies = true): Option {
  const option = new Option(
    '-l, --listen <host:port>',
    'where to listen; a port alone means every address, port 0 lets the system choose' +
      (applies ? '' : ` (default: what a panel says, else ${address})`),
  ).argParser(options.argument(options.parseListen))
  return applies ? option.default(parseHostPort(address), address) : option
}

function addPasswordOptions(command: Command): Command {
  return command
    .option('-p, --password <password>', 'the password; it shows in the process list')
    .option('--password-file <file>', 'file with the password (or the variable ANYTLS_PASSWORD)')
}

function addCommonOptions(command: Command): Command {
  return command
    .option(
      '--state-dir <folder>',
      "where to keep what must last (default: the user's data folder)",
    )
    .addOption(new Option('--log-level <level>', 'what to log').choices(LOG_LEVELS).default('info'))
    .addOption(
      new Option('--log-format <format>', 'how to log').choices(LOG_FORMATS).default('text'),
    )
    .helpOption('-h, --help', 'show this help')
}
