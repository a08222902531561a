// The options of `anytls user` and its subcommands.
// Must never do anything itself: what a command does is loaded when it is called for.

import { Option } from 'commander'
import type { Command } from 'commander'
import { LINK_FORMATS } from '../serve/link-formats.ts'
import type { LinkFormat } from '../serve/link-formats.ts'
import type { Address } from '../codec/address.ts'
import { parseDate, parseLimit, parseQuota, parseRate } from '../serve/users/amounts.ts'
import type { Quota } from '../serve/users/amounts.ts'
import { argument, parsePlace, parsePublicHost, USERS_VARIABLE } from './options.ts'

/** What every subcommand takes. */
export interface UserPlaceOptions {
  readonly users?: string
  readonly stateDir?: string
}

/** What is said of a user. `null` takes a limit away. */
export interface UserSettingsOptions {
  readonly password?: string
  readonly passwordFile?: string
  readonly hashOnly?: boolean
  readonly quota?: Quota | null
  readonly expires?: number | null
  readonly maxUp?: number | null
  readonly maxDown?: number | null
  readonly maxSessions?: number | null
  readonly maxAddresses?: number | null
  readonly allowPrivate?: boolean
  readonly note?: string
}

export interface UserLinkOptions extends UserPlaceOptions {
  readonly publicHost?: Address
  readonly qr?: boolean
  readonly format: LinkFormat
  readonly subscription?: boolean
}

type UserAddOptions = UserPlaceOptions & UserSettingsOptions & { readonly publicHost?: Address }

interface UserSetOptions extends UserPlaceOptions, UserSettingsOptions {
  readonly newPassword?: boolean
}

interface UserListOptions extends UserPlaceOptions {
  readonly json?: boolean
}

/** What runs when a subcommand is called. */
export interface UserCommands {
  add(name: string, options: UserAddOptions): Promise<void>
  list(options: UserListOptions): Promise<void>
  show(name: string, options: UserListOptions): Promise<void>
  set(name: string, options: UserSetOptions): Promise<void>
  enable(name: string, options: UserPlaceOptions): Promise<void>
  disable(name: string, options: UserPlaceOptions): Promise<void>
  remove(name: string, options: UserPlaceOptions): Promise<void>
  reset(name: string, options: UserPlaceOptions): Promise<void>
  renew(name: string, options: UserPlaceOptions): Promise<void>
  link(name: string, options: UserLinkOptions): Promise<void>
}

const DEFAULT_PLACE = 'users.json in the state folder'

/** Adds `user` to the program; `load` gives what its subcommands do. */
export function addUser(program: Command, load: () => Promise<UserCommands>): void {
  const user = program
    .command('user')
    .description('Add, change and remove the users of a server (server --users).')
    .helpOption('-h, --help', 'show this help')
  addSettings(named(user, 'add', 'Add a user and print the share link.'), false)
    .addOption(publicHostOption())
    .action(async (name: string, flags: UserAddOptions) => (await load()).add(name, flags))
  placed(user.command('list').description('Show all users.'))
    .option('--json', 'as an array of JSON objects')
    .action(async (flags: UserListOptions) => (await load()).list(flags))
  named(user, 'show', 'Show a user.')
    .option('--json', 'as a JSON object')
    .action(async (name: string, flags: UserListOptions) => (await load()).show(name, flags))
  addSettings(named(user, 'set', 'Change a user; a limit of "none" is taken away.'), true)
    .addOption(
      new Option('--new-password', 'make a new password').conflicts(['password', 'passwordFile']),
    )
    .option('--no-allow-private', 'reach public addresses alone')
    .action(async (name: string, flags: UserSetOptions) => (await load()).set(name, flags))
  const plain = [
    ['enable', 'Let a user in again.'],
    ['disable', 'Let a user in no longer, and end the sessions that run.'],
    ['remove', 'Remove a user, and end the sessions that run.'],
    ['reset', 'Set what a user has used to nothing.'],
    ['renew', "Make another address for a user's subscription; the one before leads nowhere then."],
  ] as const
  for (const [verb, description] of plain) {
    named(user, verb, description).action(async (name: string, flags: UserPlaceOptions) =>
      (await load())[verb](name, flags),
    )
  }
  named(user, 'link', 'Print the share link of a user, or the address of the subscription.')
    .addOption(publicHostOption())
    .option('--qr', 'show the QR code too, on standard error')
    .addOption(
      new Option('--format <format>', 'a share link, or what another program wants to be told')
        .choices(LINK_FORMATS)
        .default('uri'),
    )
    .addOption(
      new Option(
        '--subscription',
        "the address of the user's subscription instead: apps look there for the link and the quota",
      ).conflicts('format'),
    )
    .action(async (name: string, flags: UserLinkOptions) => (await load()).link(name, flags))
}

function named(user: Command, verb: string, description: string): Command {
  return placed(user.command(verb).description(description).argument('<name>', 'the user'))
}

function placed(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--users <place>',
        `where the users are kept: a file, redis:// or a panel, as server --users has it (default: ${DEFAULT_PLACE})`,
      )
        .env(USERS_VARIABLE)
        .argParser(parsePlace),
    )
    .option('--state-dir <folder>', "the state folder (default: the user's data folder)")
    .helpOption('-h, --help', 'show this help')
}

function addSettings(command: Command, changes: boolean): Command {
  const limit = <T>(parse: (text: string) => T) =>
    argument((text: string) => (changes && text === 'none' ? null : parse(text)))
  const option = (flags: string, description: string, parse: (text: string) => unknown) =>
    command.option(flags, description, limit(parse))
  command
    .option(
      '-p, --password <password>',
      changes ? 'another password' : 'the password (default: one is made)',
    )
    .option('--password-file <file>', 'file with the password')
    .option('--hash-only', 'keep the SHA-256 of the password alone: then there are no links')
  option('--quota <amount>', 'bytes up and down together, 100GB/month; day, week, all', parseQuota)
  option('--expires <date>', 'last day, or point in time, 2030-12-31T18:00:00Z', parseDate)
  option('--max-up <rate>', 'bytes a second to the server, 10MB', parseRate)
  option('--max-down <rate>', 'bytes a second from the server', parseRate)
  option('--max-sessions <number>', 'sessions at once', parseLimit)
  option('--max-addresses <number>', 'addresses at once to connect from', parseLimit)
  return command
    .option('--allow-private', 'reach private addresses, too')
    .option('--note <text>', 'what to remember of the user')
}

function publicHostOption(): Option {
  return new Option(
    '--public-host <host[:port]>',
    'where clients reach the server (default: as the server that uses these users has said)',
  ).argParser(argument(parsePublicHost))
}
