// How many sessions users have at the servers that share a users file: each says so in a file of its own beside it.
// Must never count the sessions of a server that is gone.
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { isRunning, writePrivateFile } from '../files.ts'
import { isAmount, isObject } from '../json.ts'
import type { SessionsByUser } from './store.ts'

/** A server that has said nothing for so long is gone, in milliseconds. */
const SILENCE = 60_000

/** How often a server says that it is there although nothing has changed, in milliseconds. */
const SIGN_OF_LIFE = 15_000

export class Presence {
  readonly #folder: string
  readonly #prefix: string
  readonly #file: string
  #published = ''
  #touched = 0

  constructor(usersFile: string) {
    this.#folder = dirname(usersFile)
    this.#prefix = `${basename(usersFile)}.live-`
    this.#file = join(this.#folder, this.#prefix + randomBytes(9).toString('hex'))
  }

  /**
   * Says how many sessions each user has at this server; to be called every few seconds.
   *
   * @throws AnyTlsError `ERR_FILE`
   */
  publish(sessions: SessionsByUser): void {
    const counts = Array.from(sessions, ([id, { length }]) => [id, length] as const)
    const server = { pid: process.pid, host: hostname(), sessions: Object.fromEntries(counts) }
    const text = `${JSON.stringify(server)}\n`
    const now = performance.now()
    if (text === this.#published && now - this.#touched < SIGN_OF_LIFE) return
    this.#touched = now
    if (text === this.#published && touch(this.#file)) return
    writePrivateFile(this.#file, text)
    this.#published = text
  }

  /** Sessions by user over all servers, this one among them once it has published. */
  read(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>()
    for (const file of this.#files()) {
      for (const [id, count] of Object.entries(readServer(file))) {
        if (isAmount(count)) sums.set(id, (sums.get(id) ?? 0) + count)
      }
    }
    return sums
  }

  /** This server is gone. */
  withdraw(): void {
    rmSync(this.#file, { force: true })
  }

  #files(): readonly string[] {
    try {
      return readdirSync(this.#folder)
        .filter((name) => name.startsWith(this.#prefix) && !name.endsWith('.tmp'))
        .map((name) => join(this.#folder, name))
    } catch {
      return []
    }
  }
}

/** The sessions that a server says it has; its file is taken away when it is gone. */
function readServer(file: string): Record<string, unknown> {
  try {
    const server: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (!isObject(server) || !isObject(server['sessions'])) return {}
    const { pid, host, sessions } = server
    const silent = Date.now() - statSync(file).mtimeMs > SILENCE
    if (!silent && (host !== hostname() || (isAmount(pid) && isRunning(pid)))) return sessions
    rmSync(file, { force: true })
  } catch {
    // It has just gone, or belongs to somebody else.
  }
  return {}
}

function touch(file: string): boolean {
  try {
    const now = new Date()
    utimesSync(file, now, now)
    return true
  } catch {
    return false
  }
}
