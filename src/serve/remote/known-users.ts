// The users that were known last, in a file: so that they are served while the place they are kept at is away, also
// after a restart.
// Must never keep a server from running: a file that cannot be used is one without users.
import { AnyTlsError } from '../../errors.ts'
import { readLargeFile, writePrivateFile } from '../files.ts'
import type { User } from '../users/user.ts'
import { formatUsers, parseUsers } from '../users/users-file.ts'

export class KnownUsers {
  readonly #path: string
  readonly #warn: (problem: string) => void

  constructor(path: string, warn: (problem: string) => void) {
    this.#path = path
    this.#warn = warn
  }

  /** `undefined` where none were ever known. */
  read(): readonly User[] | undefined {
    try {
      const text = readLargeFile(this.#path, 'users file')
      return text === undefined ? undefined : parseUsers(text)
    } catch (error) {
      this.#tell(error)
      return undefined
    }
  }

  write(users: Iterable<User>): void {
    try {
      writePrivateFile(this.#path, formatUsers(users))
    } catch (error) {
      this.#tell(error)
    }
  }

  #tell(error: unknown): void {
    if (!(error instanceof AnyTlsError)) throw error
    this.#warn(`the users known last, '${this.#path}': ${error.message}`)
  }
}
