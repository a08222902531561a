// The ledger in a file: one JSON object a line, appended, now and then compacted, shared by all who use the store.
// Must never write a batch that counts twice: each has a number of its writer's, and is taken once.
import { randomBytes } from 'node:crypto'
import { constants, open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { AnyTlsError } from '../../errors.ts'
import {
  createPrivateFile,
  fileError,
  fileProblem,
  systemCode,
  writePrivateFile,
} from '../files.ts'
import { withLock } from '../file-lock.ts'
import { isAmount, isObject } from '../json.ts'
import { dayOf } from './ledger.ts'
import type { DayUsage, Usage, UsageLedger } from './ledger.ts'
import { Tally } from './tally.ts'

/** A journal of fewer bytes is not worth compacting. */
const MIN_COMPACTED = 262_144

/** Writers whose last batch is remembered: more than will ever try again. */
const MAX_WRITERS = 256

const CHUNK = 262_144

/** A line of the journal, as it is read. */
interface Line {
  readonly writer?: unknown
  readonly batch?: unknown
  readonly days?: unknown
  readonly reset?: unknown
  readonly account?: unknown
  readonly up?: unknown
  readonly down?: unknown
}

/** What stands in the file, as far as it was read. */
interface Contents {
  /** Which file it was: another one takes its place when it is compacted. */
  readonly file: string
  position: number
  readonly tally: Tally
  /** The last batch that was taken of each writer. */
  readonly taken: Map<string, number>
}

interface Batch {
  readonly number: number
  readonly tally: Tally
}

export class UsageJournal implements UsageLedger {
  readonly #path: string
  readonly #warn: (problem: string) => void
  readonly #now: () => number
  readonly #writer = randomBytes(9).toString('base64url')
  #contents = emptyContents('')
  /** What is not written; a batch that failed keeps its number until it is. */
  #pending = new Tally()
  #batch: Batch | undefined
  #batches = 0
  /** Bytes that the file had when it was last compacted here. */
  #compacted = 0
  #unreadable = 0
  /** One thing at a time. */
  #turn: Promise<unknown> = Promise.resolve()

  /**
   * @param warn told of lines that cannot be read
   * @param now milliseconds since 1970
   */
  constructor(path: string, warn: (problem: string) => void, now: () => number = Date.now) {
    this.#path = path
    this.#warn = warn
    this.#now = now
  }

  of(id: string): Usage {
    const parts = this.#tallies().map((tally) => tally.of(id))
    return { up: sum(parts.map(({ up }) => up)), down: sum(parts.map(({ down }) => down)) }
  }

  days(id: string): readonly DayUsage[] {
    const merged = new Tally()
    for (const tally of this.#tallies()) {
      for (const { day, up, down } of tally.days(id)) merged.add(id, day, up, down)
    }
    return merged.days(id)
  }

  add(id: string, up: number, down: number): void {
    if (up > 0 || down > 0) this.#pending.add(id, dayOf(this.#now()), up, down)
  }

  reset(id: string): Promise<void> {
    return this.#exclusively(async () => {
      await this.#writeBatches()
      await this.#append(`${JSON.stringify({ reset: id })}\n`)
    })
  }

  refresh(): Promise<void> {
    return this.#exclusively(() => this.#readNew())
  }

  /** @throws AnyTlsError rejects with `ERR_FILE`; nothing is lost then, and the next one tries again */
  flush(): Promise<void> {
    return this.#exclusively(() => this.#writeBatches())
  }

  #tallies(): readonly Tally[] {
    return [this.#contents.tally, ...(this.#batch ? [this.#batch.tally] : []), this.#pending]
  }

  #exclusively(task: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(task)
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #writeBatches(): Promise<void> {
    // First the one that failed, if there is one.
    while (this.#batch !== undefined || !this.#pending.empty) {
      if (this.#batch === undefined) {
        this.#batches += 1
        this.#batch = { number: this.#batches, tally: this.#pending }
        this.#pending = new Tally()
      }
      const { number, tally } = this.#batch
      const days = tally.byDay()
      await this.#append(`${JSON.stringify({ writer: this.#writer, batch: number, days })}\n`)
    }
  }

  async #append(line: string): Promise<void> {
    await withLock(this.#path, async (held) => {
      const file = await this.#open().catch((cause: unknown) => {
        if (cause instanceof AnyTlsError) throw cause
        throw fileError(`cannot write '${this.#path}': ${fileProblem(cause)}`, cause)
      })
      try {
        await this.#readFrom(file)
        // What a writer left that was killed, or a disk that was full, ends where the last whole line does.
        await file.truncate(this.#contents.position)
        await this.#appendWhole(file, line)
        await this.#readFrom(file)
      } finally {
        await file.close()
      }
      const { position } = this.#contents
      if (position > Math.max(MIN_COMPACTED, 2 * this.#compacted)) await this.#compact(held)
    })
  }

  /** A new one is made as every private file is: it must not be the superuser's alone. */
  async #open(): Promise<FileHandle> {
    const flags = constants.O_RDWR | constants.O_APPEND
    try {
      return await open(this.#path, flags)
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
    }
    try {
      createPrivateFile(this.#path, '')
    } catch (error) {
      // Another writer was quicker, after the lock was lost.
      if (!(error instanceof AnyTlsError) || systemCode(error.cause) !== 'EEXIST') throw error
    }
    return open(this.#path, flags)
  }

  async #appendWhole(file: FileHandle, line: string): Promise<void> {
    try {
      await file.appendFile(line)
      await file.datasync()
    } catch (cause) {
      await file.truncate(this.#contents.position).catch(() => {})
      throw fileError(`cannot write '${this.#path}': ${fileProblem(cause)}`, cause)
    }
  }

  async #readNew(): Promise<void> {
    let file
    try {
      file = await open(this.#path, 'r')
    } catch (cause) {
      if (systemCode(cause) === 'ENOENT') {
        this.#contents = emptyContents('')
        return
      }
      throw fileError(`cannot read '${this.#path}': ${fileProblem(cause)}`, cause)
    }
    try {
      await this.#readFrom(file)
    } finally {
      await file.close()
    }
  }

  /** Takes the whole lines behind those that were taken. */
  async #readFrom(file: FileHandle): Promise<void> {
    const { ino, birthtimeNs, size } = await file.stat({ bigint: true })
    const name = `${ino} ${birthtimeNs}`
    const known = this.#contents
    // Another file is read to its end before it counts: until then there would be gaps.
    const contents = name === known.file && size >= known.position ? known : emptyContents(name)
    const buffer = Buffer.allocUnsafe(CHUNK)
    let rest = Buffer.alloc(0)
    for (let at = contents.position; ;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK, at)
      if (bytesRead === 0) break
      at += bytesRead
      const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
      const end = bytes.lastIndexOf(0x0a) + 1
      this.#take(bytes.subarray(0, end).toString('utf8'), contents)
      contents.position += end
      if (contents === known) this.#settleBatch()
      rest = bytes.subarray(end)
    }
    this.#contents = contents
    this.#settleBatch()
  }

  /** What stands in the file is not waiting any more. */
  #settleBatch(): void {
    const last = this.#contents.taken.get(this.#writer) ?? 0
    if (this.#batch !== undefined && this.#batch.number <= last) this.#batch = undefined
  }

  #take(lines: string, contents: Contents): void {
    for (const text of lines.split('\n')) {
      if (text !== '' && !takeLine(text, contents)) this.#complain()
    }
  }

  #complain(): void {
    this.#unreadable += 1
    if (this.#unreadable > 1) return
    this.#warn(
      `a line of '${this.#path}' cannot be read: it is left out, and so are others like it`,
    )
  }

  /** Writes what the lines amount to in their place. */
  async #compact(held: () => boolean): Promise<void> {
    const { taken, tally } = this.#contents
    const lines: string[] = []
    for (const [writer, batch] of taken) lines.push(JSON.stringify({ writer, batch, days: {} }))
    for (const id of tally.ids) lines.push(JSON.stringify({ account: id, ...tally.record(id) }))
    writePrivateFile(this.#path, `${lines.join('\n')}\n`, held)
    await this.#readNew()
    this.#compacted = this.#contents.position
  }
}

function emptyContents(file: string): Contents {
  return { file, position: 0, tally: new Tally(), taken: new Map() }
}

/** False for a line that means nothing. */
function takeLine(text: string, { tally, taken }: Contents): boolean {
  let line: Line | null
  try {
    line = JSON.parse(text) as Line | null
  } catch {
    return false
  }
  if (typeof line !== 'object' || line === null) return false
  const { writer, batch, days, reset, account, up, down } = line
  if (typeof reset === 'string') {
    tally.delete(reset)
    return true
  }
  if (typeof account === 'string') {
    if (!isAmount(up) || !isAmount(down) || !isUsed(days)) return false
    tally.set(account, { up, down, days })
    return true
  }
  if (typeof writer !== 'string' || !isAmount(batch) || !isUsedByDay(days)) return false
  if (wasTaken(taken, writer, batch)) return true
  for (const [day, used] of Object.entries(days)) {
    for (const [id, [up, down]] of Object.entries(used)) tally.add(id, day, up, down)
  }
  return true
}

/** Whether a batch was taken before; from now on it was. */
function wasTaken(taken: Map<string, number>, writer: string, batch: number): boolean {
  const last = taken.get(writer) ?? 0
  taken.delete(writer)
  taken.set(writer, Math.max(last, batch))
  if (taken.size > MAX_WRITERS) {
    const [oldest = ''] = taken.keys()
    taken.delete(oldest)
  }
  return batch <= last
}

/** By day, then by user. */
export type UsedByDay = Readonly<Record<string, Used>>

type Used = Readonly<Record<string, readonly [up: number, down: number]>>

export function isUsedByDay(value: unknown): value is UsedByDay {
  return isObject(value) && Object.values(value).every(isUsed)
}

function isUsed(value: unknown): value is Used {
  return isObject(value) && Object.values(value).every(isPair)
}

function isPair(value: unknown): value is readonly [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(isAmount)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
