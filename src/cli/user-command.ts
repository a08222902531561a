// `anytls user`: the users of a server, kept where `--users` says.

import { join } from 'node:path'
import { renderUnicodeCompact } from 'uqr'
import { invalidOption } from '../errors.ts'
import { certificatePin, formatLink } from '../serve/link-formats.ts'
import { openUserStore } from '../serve/users/open-store.ts'
import type { ServerEndpoint, UserStore } from '../serve/users/store.ts'
import type { UserPatch, UserSettings } from '../serve/users/user.ts'
import { checkPassword, makePassword } from '../serve/users/user.ts'
import { requireUser } from '../serve/users/user-table.ts'
import { linkTo, subscriptionUrl } from '../serve/users/user-link.ts'
import { viewOf } from '../serve/users/user-view.ts'
import { readHandedOn } from '../serve/certificate.ts'
import { findPassword } from './password.ts'
import { escapeControls } from './printable.ts'
import { stateFolder } from './state-folder.ts'
import { writeStdout } from './stdout.ts'
import type {
  UserCommands,
  UserLinkOptions,
  UserPlaceOptions,
  UserSettingsOptions,
} from './user-options.ts'
import { describeUser, userTable } from './user-text.ts'

/** What the subcommands of `user` do. */
export const userCommands: UserCommands = {
  add: (name, options) =>
    withStore(options, async (store) => {
      const { password = makePassword(), ...settings } = settingsOf(options)
      const { hashOnly = false } = options
      await store.add({ ...settings, name, password, hashOnly })
      // Of a hash alone nobody could make a link later.
      if (hashOnly) tell('the password is not kept: this link is not shown again')
      await printLink(store, { name, password }, { ...options, format: 'uri' })
    }),

  list: (options) =>
    withStore(options, async (store) => {
      const users = [...store.users]
      if (options.json !== true) return writeStdout(userTable(users, store))
      const list = users.map((user) => viewOf(user, store))
      return writeStdout(`${JSON.stringify(list, null, 2)}\n`)
    }),

  show: (name, options) =>
    withStore(options, async (store) => {
      const user = requireUser(store.users, name)
      if (options.json !== true) return writeStdout(describeUser(user, store))
      return writeStdout(`${JSON.stringify(viewOf(user, store), null, 2)}\n`)
    }),

  set: (name, options) =>
    withStore(options, async (store) => {
      const { hashOnly, newPassword } = options
      const patch: UserPatch = {
        ...settingsOf(options),
        ...(newPassword === true && { password: makePassword() }),
        ...(hashOnly !== undefined && { hashOnly }),
      }
      if (Object.keys(patch).length === 0)
        throw invalidOption('nothing to set: --help names the options')
      await store.update(name, patch)
    }),

  enable: (name, options) =>
    withStore(options, async (store) => {
      await store.update(name, { enabled: true })
    }),

  disable: (name, options) =>
    withStore(options, async (store) => {
      await store.update(name, { enabled: false })
    }),

  remove: (name, options) =>
    withStore(options, async (store) => {
      await store.remove(name)
    }),

  renew: (name, options) =>
    withStore(options, async (store) => {
      await store.update(name, { subscription: makePassword() })
    }),

  reset: (name, options) =>
    withStore(options, (store) => store.usage.reset(requireUser(store.users, name).id)),

  link: (name, options) =>
    withStore(options, async (store) => {
      const { password, subscription } = requireUser(store.users, name)
      if (password === undefined) {
        throw invalidOption(
          'the hash of this user alone is kept: there is no link without the password',
        )
      }
      if (options.subscription !== true) return printLink(store, { name, password }, options)
      if (subscription === undefined) {
        throw invalidOption('this user has no subscription yet: `anytls user renew` makes one')
      }
      const { publicHost, qr = false } = options
      await print(subscriptionUrl(endpointOf(store, options), subscription, publicHost), qr)
    }),
}

/** The store that `--users` means. */
export function usersPlace({ users, stateDir }: UserPlaceOptions): string {
  return users ?? join(stateFolder(stateDir), 'users.json')
}

async function withStore(
  options: UserPlaceOptions,
  task: (store: UserStore) => Promise<void>,
): Promise<void> {
  const store = await openUserStore(usersPlace(options), {
    warn: tell,
    folder: stateFolder(options.stateDir),
  })
  try {
    await task(store)
  } finally {
    await store.close()
  }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** What was said of a user; what was not is not there. */
function settingsOf(options: UserSettingsOptions): Partial<UserSettings> & { password?: string } {
  const settings: Partial<Writable<UserSettings>> & { password?: string } = {}
  const { quota, expires, maxUp, maxDown, maxSessions, maxAddresses } = options
  if (quota !== undefined) settings.quota = quota ?? undefined
  if (expires !== undefined) settings.expires = expires ?? undefined
  if (maxUp !== undefined) settings.maxUp = maxUp ?? undefined
  if (maxDown !== undefined) settings.maxDown = maxDown ?? undefined
  if (maxSessions !== undefined) settings.maxSessions = maxSessions ?? undefined
  if (maxAddresses !== undefined) settings.maxAddresses = maxAddresses ?? undefined
  if (options.allowPrivate !== undefined) settings.allowPrivate = options.allowPrivate
  if (options.note !== undefined) settings.note = options.note === '' ? undefined : options.note
  const password = passwordOf(options)
  if (password !== undefined) settings.password = password
  return settings
}

function passwordOf({ password, passwordFile }: UserSettingsOptions): string | undefined {
  const found = findPassword({ option: password, file: passwordFile })
  return found === undefined ? undefined : checkPassword(found)
}

async function printLink(
  store: UserStore,
  { name, password }: { readonly name: string; readonly password: string },
  options: UserLinkOptions,
): Promise<void> {
  const endpoint = endpointOf(store, options)
  const certificate = readHandedOn(stateFolder(options.stateDir))
  const link = linkTo(endpoint, password, { name, known: options.publicHost })
  const known = certificate && certificatePin(certificate) === link.pin ? certificate : undefined
  await print(formatLink(link, options.format, known), options.qr ?? false)
}

async function print(text: string, qr: boolean): Promise<void> {
  if (qr) process.stderr.write(`${renderUnicodeCompact(text)}\n`)
  await writeStdout(`${text}\n`)
}

/** Until a server has said where it is: what one would be without options, here. */
function endpointOf(store: UserStore, options: UserLinkOptions): ServerEndpoint {
  if (store.endpoint !== undefined) return store.endpoint
  if (options.publicHost === undefined) {
    tell('no server has used these users yet: the link names 127.0.0.1:8443, --public-host another')
  }
  const certificate = readHandedOn(stateFolder(options.stateDir))
  const pin = certificate === undefined ? undefined : certificatePin(certificate)
  return { host: '127.0.0.1', port: 8443, sni: undefined, pin }
}

/** In one line on standard error. */
function tell(problem: string): void {
  process.stderr.write(`anytls: ${escapeControls(problem)}\n`)
}
