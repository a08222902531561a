// The users that were known last, in a file: so that they are served while the place they are kept at is away, also
// after a restart.
import { AnyTlsError } from '../../errors.ts'
import { writePrivateFile } from '../files.ts'
import type { User } from '../users/user.ts'
import type { UserTable } from '../users/user-table.ts'
import { formatPieces, readUsers } from '../users/users-file.ts'

/** Writing may take one part in so many of the time: with many users it stops the process for a while. */
const PART = 50

export class KnownUsers {
  readonly #path: string
  readonly #warn: (problem: string) => void
  #waiting: (() => Iterable<User>) | undefined
  #timer: NodeJS.Timeout | undefined
  /** When they may be written again. */
  #free = 0

  constructor(path: string, warn: (problem: string) => void) {
    this.#path = path
    this.#warn = warn
  }

  /** `undefined` where none were ever known. */
  read(): UserTable | undefined {
    try {
      return readUsers(this.#path)
    } catch (error) {
      this.#tell(error)
      return undefined
    }
  }

  write(users: Iterable<User>): void {
    try {
      writePrivateFile(this.#path, formatPieces(users))
    } catch (error) {
      this.#tell(error)
    }
  }

  /** Writes them, now or when it has been long enough since that was done; with {@link flush} at the latest. */
  keep(users: () => Iterable<User>): void {
    this.#waiting = users
    if (this.#timer !== undefined) return
    const wait = this.#free - performance.now()
    if (wait <= 0) this.flush()
    else this.#timer = setTimeout(() => this.flush(), wait).unref()
  }

  /** Writes what waits to be. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const users = this.#waiting
    if (users === undefined) return
    this.#waiting = undefined
    const begun = performance.now()
    this.write(users())
    const now = performance.now()
    this.#free = now + PART * (now - begun)
  }

  #tell(error: unknown): void {
    if (!(error instanceof AnyTlsError)) throw error
    this.#warn(`the users known last, '${this.#path}': ${error.message}`)
  }
}
