// What a running server reads anew: when its files change, and when it is told to (SIGHUP).
// Must never touch what runs, or let go of what was good before the new is.
import { stat } from 'node:fs/promises'

/** Something of a server that can be read anew: a certificate, a password, a list of users. */
export interface ReloadPart {
  /** What people call it, as in "the certificate has been read anew". */
  readonly name: string
  /** Files that are followed; without one it is read anew only when the server is told to. */
  readonly files: readonly string[]
  /** Reads it and puts it to use. What it throws is said, and the old stays. */
  reload(): void | Promise<void>
}

/** Is told what happened. */
export interface ReloadObserver {
  reloaded(name: string): void
  /** The old stays in use. */
  refused(name: string, error: unknown): void
}

/** How often files are looked at, in milliseconds. */
const LOOK_INTERVAL = 1_000

/**
 * How many looks a part that cannot be used may take before that is said: of files that belong together, such as
 * key and certificate, one is there before the other.
 */
const PATIENCE = 3

interface Followed {
  readonly part: ReloadPart
  /** Its files as they were when it was last read. */
  seen: string
  /** What was wrong with them, and for how many looks. */
  problem: { readonly error: unknown; looks: number } | undefined
}

/**
 * Follows the parts of a server. By looking, not by being told of changes: files that are replaced, reached by
 * links or on other machines' disks tell of them in as many ways.
 */
export class Reloader {
  readonly #observer: ReloadObserver
  readonly #interval: number
  readonly #followed: Followed[] = []
  #timer: NodeJS.Timeout | undefined
  #looking = false
  #running: Promise<void> = Promise.resolve()

  /** @param interval how often to look, in milliseconds, for tests */
  constructor(observer: ReloadObserver, interval = LOOK_INTERVAL) {
    this.#observer = observer
    this.#interval = interval
  }

  /** Follows one part more, which has just been read. */
  async add(part: ReloadPart): Promise<void> {
    this.#followed.push({ part, seen: await stampOf(part.files), problem: undefined })
    if (part.files.length === 0 || this.#timer !== undefined) return
    this.#timer = setInterval(() => {
      if (!this.#looking) void this.#inTurn(() => this.#look())
    }, this.#interval)
    this.#timer.unref()
  }

  /** Reads everything anew, whether it has changed or not. */
  all(): Promise<void> {
    return this.#inTurn(async () => {
      for (const one of this.#followed) {
        one.seen = await stampOf(one.part.files)
        await this.#read(one)
        if (one.problem === undefined) continue
        one.problem.looks = PATIENCE
        this.#observer.refused(one.part.name, one.problem.error)
      }
    })
  }

  /** Follows nothing any more. */
  stop(): void {
    clearInterval(this.#timer)
    this.#followed.length = 0
  }

  /** One after the other. None of them rejects. */
  #inTurn(run: () => Promise<void>): Promise<void> {
    return (this.#running = this.#running.then(run))
  }

  async #look(): Promise<void> {
    this.#looking = true
    for (const one of this.#followed) {
      const now = await stampOf(one.part.files)
      if (now !== one.seen) {
        one.seen = now
        await this.#read(one)
      }
      if (one.problem === undefined) continue
      one.problem.looks += 1
      if (one.problem.looks === PATIENCE) this.#observer.refused(one.part.name, one.problem.error)
    }
    this.#looking = false
  }

  async #read(one: Followed): Promise<void> {
    try {
      await one.part.reload()
    } catch (error) {
      const { looks = 0 } = one.problem ?? {}
      // What has been said is said again of what is there now.
      one.problem = { error, looks: looks < PATIENCE ? looks : 0 }
      return
    }
    one.problem = undefined
    this.#observer.reloaded(one.part.name)
  }
}

/** Changes with any of the files: what is written in place, put in its place, or a link to another. */
async function stampOf(files: readonly string[]): Promise<string> {
  const stamps = files.map(async (file) => {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
      return [dev, ino, size, mtimeNs, ctimeNs].join(':')
    } catch {
      return 'none'
    }
  })
  return (await Promise.all(stamps)).join(' ')
}
