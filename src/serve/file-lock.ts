// One writer at a time for a file, over processes: a lock file beside it.
// Must never wait for a process that is no more.
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileError, fileProblem, isRunning, systemCode } from './files.ts'

/** How long to wait for another writer, in milliseconds. */
const PATIENCE = 10_000

/** Nobody holds a lock for longer than it takes to write a file, in milliseconds. */
const STALE_AFTER = 30_000

/**
 * Runs `task` while no other process does the same for `path`.
 *
 * @param task asks `held` before it puts something in the place of another: a process that was stopped for too long
 *   has lost its lock
 * @throws AnyTlsError rejects with `ERR_FILE` when the lock cannot be had, else with what `task` throws
 */
export async function withLock<T>(
  path: string,
  task: (held: () => boolean) => T | Promise<T>,
): Promise<T> {
  const lock = `${path}.lock`
  const token = `${process.pid} ${hostname()} ${randomBytes(9).toString('base64url')}`
  const deadline = performance.now() + PATIENCE
  while (!take(lock, token)) {
    if (breakStale(lock)) continue
    if (performance.now() > deadline) {
      throw fileError(`cannot write '${path}': another program has locked it ('${lock}')`)
    }
    await sleep(5 + Math.random() * 20)
  }
  const held = () => holderOf(lock) === token
  try {
    return await task(held)
  } finally {
    if (held()) rmSync(lock, { force: true })
  }
}

function take(lock: string, token: string): boolean {
  let file
  try {
    file = openSync(lock, 'wx', 0o600)
  } catch (cause) {
    if (systemCode(cause) === 'EEXIST') return false
    throw fileError(`cannot write '${lock}': ${fileProblem(cause)}`, cause)
  }
  try {
    writeSync(file, token)
    return true
  } catch (cause) {
    rmSync(lock, { force: true })
    throw fileError(`cannot write '${lock}': ${fileProblem(cause)}`, cause)
  } finally {
    closeSync(file)
  }
}

/** Takes away a lock that nobody holds any more; whether it may be free now. */
function breakStale(lock: string): boolean {
  const holder = holderOf(lock)
  if (holder === undefined) return true
  if (!isGone(holder) && ageOf(lock) < STALE_AFTER) return false
  // Of several that break it one gets it; and it looks what it got, for another may have taken the lock anew.
  const aside = `${lock}.${randomBytes(6).toString('hex')}`
  try {
    renameSync(lock, aside)
    if (holderOf(aside) === holder) rmSync(aside, { force: true })
    else renameSync(aside, lock)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw fileError(`cannot write '${lock}'`, error)
  }
  return true
}

function holderOf(lock: string): string | undefined {
  try {
    return readFileSync(lock, 'utf8')
  } catch {
    return undefined
  }
}

/** Whether the process was one of this machine and has ended. */
function isGone(holder: string): boolean {
  const [pid = '', host] = holder.split(' ')
  return host === hostname() && !isRunning(Number(pid))
}

function ageOf(lock: string): number {
  try {
    return Date.now() - statSync(lock).mtimeMs
  } catch {
    return 0
  }
}
