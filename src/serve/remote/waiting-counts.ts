// Counts that wait to be told elsewhere, in files of this machine: each process has one, and takes those over that
// others have left.
// Must never let a count be in two batches, or a batch be forgotten before it is settled.
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { isRunning, readLargeFile, writePrivateFile } from '../files.ts'
import { isAmount, isObject } from '../json.ts'
import { isUsedByDay } from '../usage/journal.ts'
import type { UsedByDay } from '../usage/journal.ts'
import { dayOf } from '../usage/ledger.ts'
import type { DayUsage, Usage } from '../usage/ledger.ts'
import { Tally } from '../usage/tally.ts'

/** A process that has not touched its file for so long is gone, in milliseconds. */
const SILENCE = 60_000

/** How often a file that has not changed is touched all the same, in milliseconds. */
const SIGN_OF_LIFE = 15_000

/** Counts that are told together. The pair of writer and number belongs to it alone, wherever it is tried again. */
export interface Batch {
  readonly writer: string
  readonly number: number
  readonly tally: Tally
  /** It may have been told before: nobody has said that it was not. */
  readonly again: boolean
}

/** What stands in a file. */
interface Kept {
  readonly writer: string
  /** How many batches there were. */
  readonly batches: number
  readonly waiting: Tally
  readonly batch: Batch | undefined
}

/** The counts of one file, which belongs to this process. */
class Spool {
  readonly path: string
  #kept: Kept
  /** What is not in the file yet. */
  #fresh = new Tally()
  #isWritten: boolean
  #touched = performance.now()

  constructor(path: string, kept?: Kept) {
    this.path = path
    this.#isWritten = kept !== undefined
    this.#kept = kept ?? emptyCounts()
  }

  get tallies(): readonly Tally[] {
    const { batch, waiting } = this.#kept
    return [...(batch === undefined ? [] : [batch.tally]), waiting, this.#fresh]
  }

  get empty(): boolean {
    return this.tallies.every((tally) => tally.empty)
  }

  add(id: string, day: string, up: number, down: number): void {
    this.#fresh.add(id, day, up, down)
  }

  /** The next batch to be told, which stands in the file from now on. */
  take(): Batch | undefined {
    this.save()
    const { writer, batches, waiting, batch } = this.#kept
    if (batch !== undefined) return batch
    if (waiting.empty) return undefined
    const next = { writer, number: batches + 1, tally: waiting, again: false }
    this.#write({ writer, batches: next.number, waiting: new Tally(), batch: next })
    this.#kept = { ...this.#kept, batch: { ...next, again: true } }
    return next
  }

  /** @param told whether the batch is done with; else its counts wait for the next one */
  settle({ number, tally }: Batch, told: boolean): void {
    const { batch, waiting } = this.#kept
    if (batch?.number !== number) return
    const merged = told ? waiting : sumOf([waiting, tally])
    this.#write({ ...this.#kept, batch: undefined, waiting: merged })
  }

  /** @throws AnyTlsError `ERR_FILE`; the next one tries again */
  save(): void {
    this.#forgetWhatWasTaken()
    if (this.#fresh.empty) {
      this.#touch()
      return
    }
    this.#write({ ...this.#kept, waiting: sumOf([this.#kept.waiting, this.#fresh]) })
    this.#fresh = new Tally()
  }

  #write(kept: Kept): void {
    if (kept.batch === undefined && kept.waiting.empty) {
      rmSync(this.path, { force: true })
      this.#isWritten = false
    } else {
      writePrivateFile(this.path, formatKept(kept))
      this.#isWritten = true
    }
    this.#touched = performance.now()
    this.#kept = kept
  }

  /** Others take it over from a process that stood still for too long. */
  #forgetWhatWasTaken(): void {
    if (!this.#isWritten || existsSync(this.path)) return
    this.#isWritten = false
    this.#kept = emptyCounts()
  }

  #touch(): void {
    if (!this.#isWritten || performance.now() - this.#touched < SIGN_OF_LIFE) return
    this.#touched = performance.now()
    const now = new Date()
    try {
      utimesSync(this.path, now, now)
    } catch {
      // It is written anew with the next count.
    }
  }
}

/** Files of this process. */
const open = new Set<string>()

/** All counts that wait here for one place. */
export class WaitingCounts {
  readonly #base: string
  readonly #warn: (problem: string) => void
  readonly #own: Spool
  readonly #adopted: Spool[] = []

  /** @param base the path that the names of the files begin with */
  constructor(base: string, warn: (problem: string) => void) {
    this.#base = base
    this.#warn = warn
    this.#own = new Spool(this.#makePath())
  }

  /** What a user has used that waits. */
  of(id: string): Usage {
    return sumOf(this.#tallies(), id).of(id)
  }

  days(id: string): readonly DayUsage[] {
    return sumOf(this.#tallies(), id).days(id)
  }

  add(id: string, up: number, down: number): void {
    if (up > 0 || down > 0) this.#own.add(id, dayOf(Date.now()), up, down)
  }

  /** @throws AnyTlsError `ERR_FILE`; nothing is lost then, and the next one tries again */
  save(): void {
    for (const spool of this.#spools()) spool.save()
  }

  /**
   * Tells what waits, batch by batch, until one of them is not taken.
   *
   * @param tell gives whether the batch is done with, its counts wait for another batch, or the same one must be told
   *   again. Never rejects
   * @returns whether all was told
   * @throws AnyTlsError rejects with `ERR_FILE`
   */
  async deliver(tell: (batch: Batch) => Promise<'told' | 'kept' | 'again'>): Promise<boolean> {
    this.#adopt()
    for (const spool of this.#spools()) {
      const batch = spool.take()
      if (batch === undefined) continue
      const outcome = await tell(batch)
      if (outcome === 'again') return false
      spool.settle(batch, outcome === 'told')
      if (outcome === 'kept') return false
      if (spool !== this.#own && spool.empty) this.#release(spool)
    }
    return true
  }

  /** Leaves the files to whoever comes next. */
  close(): void {
    for (const { path } of this.#spools()) open.delete(path)
  }

  #spools(): readonly Spool[] {
    return [...this.#adopted, this.#own]
  }

  #tallies(): readonly Tally[] {
    return this.#spools().flatMap(({ tallies }) => tallies)
  }

  #release(spool: Spool): void {
    open.delete(spool.path)
    this.#adopted.splice(this.#adopted.indexOf(spool), 1)
  }

  #makePath(): string {
    const name = [hostKey(), process.pid, randomBytes(6).toString('hex')].join('-')
    const path = `${this.#base}.waiting-${name}`
    open.add(path)
    return path
  }

  /** Takes over what processes have left that are gone. Of several that rename a file, one gets it. */
  #adopt(): void {
    for (const path of filesOf(this.#base)) {
      if (open.has(path) || !isLeft(path)) continue
      const own = this.#makePath()
      try {
        renameSync(path, own)
      } catch {
        open.delete(own)
        continue
      }
      const kept = readKept(own)
      if (kept !== undefined) {
        this.#adopted.push(new Spool(own, kept))
        continue
      }
      renameSync(own, `${path}.unreadable`)
      this.#warn(`counts that waited in '${path}' cannot be read: the file is put aside`)
    }
  }
}

function hostKey(): string {
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 8)
}

function filesOf(base: string): readonly string[] {
  const prefix = `${basename(base)}.waiting-`
  try {
    return readdirSync(dirname(base))
      .filter((name) => name.startsWith(prefix) && NAME.test(name.slice(prefix.length)))
      .map((name) => join(dirname(base), name))
  } catch {
    return []
  }
}

const NAME = /^[\da-f]{8}-\d+-[\da-f]{12}$/

function isLeft(path: string): boolean {
  const [host, pid] = path.split('.waiting-').at(-1)?.split('-') ?? []
  try {
    if (Date.now() - statSync(path).mtimeMs > SILENCE) return true
  } catch {
    return false
  }
  // In a container each process may have the number of the one before.
  return host === hostKey() && (Number(pid) === process.pid || !isRunning(Number(pid)))
}

function emptyCounts(): Kept {
  const writer = randomBytes(9).toString('base64url')
  return { writer, batches: 0, waiting: new Tally(), batch: undefined }
}

/** @param only the one user that is wanted */
function sumOf(tallies: readonly Tally[], only?: string): Tally {
  const sum = new Tally()
  for (const tally of tallies) {
    for (const id of only === undefined ? tally.ids : [only]) {
      for (const { day, up, down } of tally.days(id)) sum.add(id, day, up, down)
    }
  }
  return sum
}

function formatKept({ writer, batches, waiting, batch }: Kept): string {
  return `${JSON.stringify({
    writer,
    batches,
    waiting: waiting.byDay(),
    batch: batch && { number: batch.number, days: batch.tally.byDay() },
  })}\n`
}

function readKept(path: string): Kept | undefined {
  let json: unknown
  try {
    json = JSON.parse(readLargeFile(path, 'counts') ?? '')
  } catch {
    return undefined
  }
  if (!isObject(json)) return undefined
  const { writer, batches, waiting, batch } = json
  if (typeof writer !== 'string' || !isAmount(batches) || !isUsedByDay(waiting)) return undefined
  const kept = { writer, batches, waiting: tallyOf(waiting) }
  if (batch === undefined) return { ...kept, batch: undefined }
  if (!isObject(batch) || !isAmount(batch['number']) || !isUsedByDay(batch['days'])) {
    return undefined
  }
  const tally = tallyOf(batch['days'])
  return { ...kept, batch: { writer, number: batch['number'], tally, again: true } }
}

function tallyOf(days: UsedByDay): Tally {
  const tally = new Tally()
  for (const [day, used] of Object.entries(days)) {
    for (const [id, [up, down]] of Object.entries(used)) tally.add(id, day, up, down)
  }
  return tally
}
