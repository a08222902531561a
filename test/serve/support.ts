// What the tests of users share: a store in a folder of its own, a server that uses it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { serveProxyStream } from '../../src/proxy/outbound/serve-stream.ts'
import { Accounts } from '../../src/serve/accounts.ts'
import { TargetPolicy } from '../../src/serve/targets.ts'
import { openUserStore } from '../../src/serve/users/open-store.ts'
import type { UserStore } from '../../src/serve/users/store.ts'
import type { User } from '../../src/serve/users/user.ts'
import { UserTable } from '../../src/serve/users/user-table.ts'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import type { ServerOptions } from '../../src/tls/server-options.ts'
import { startEchoServer } from '../support/server.ts'
import type { TestServer } from '../support/server.ts'

/** A folder that goes with the test. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'anytls-users-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface TestStore {
  readonly store: UserStore
  readonly file: string
  /** What the store warned of. */
  readonly warnings: string[]
}

/** A store on a file, in a folder of its own unless one is given. */
export async function openStore(file = join(makeFolder(), 'users.json')): Promise<TestStore> {
  const warnings: string[] = []
  const store = await openUserStore(file, {
    warn: (problem) => warnings.push(problem),
    folder: dirname(file),
  })
  onTestFinished(() => store.close())
  return { store, file, warnings }
}

/** A table of users who have nothing in common. */
export function tableOf(users: Iterable<User>): UserTable {
  const table = new UserTable()
  const clashes = Array.from(users, (user) => table.add(user)).filter(
    (clash) => clash !== undefined,
  )
  expect(clashes).toEqual([])
  return table
}

export interface UsersServer extends TestServer {
  readonly accounts: Accounts
}

/** A proxy server for the users of `store`: what their streams ask for is dialled. */
export async function startUsersProxy(
  store: UserStore,
  options: Partial<ServerOptions> = {},
  targets = new TargetPolicy(),
): Promise<UsersServer> {
  const server: UsersServer = await startUsersServer(
    store,
    { autoAccept: false, ...options },
    (stream, session) => {
      void serveProxyStream(stream, {
        allowAddress: (address, port) =>
          targets.allows(server.accounts.rightsOf(session), address, port),
        observe: (event) => server.accounts.observe(session, event),
      })
    },
  )
  return server
}

/** A server that knows the users of `store` and no other password; streams are echoed unless `onStream` serves them. */
export async function startUsersServer(
  store: UserStore,
  options: Partial<ServerOptions> = {},
  onStream?: (stream: Stream, session: Session) => void,
): Promise<UsersServer> {
  const accounts = new Accounts({ store, warn: () => {} })
  const test = await startEchoServer({ password: undefined, users: accounts, ...options }, onStream)
  accounts.attach(test.server)
  onTestFinished(() => accounts.close())
  return { ...test, accounts }
}
