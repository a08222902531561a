// Reading small files that a user names, and writing files of the state folder.

import {
  closeSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import { AnyTlsError } from '../errors.ts'

/** The most that a password, scheme, certificate or state file may hold, in bytes. */
export const MAX_FILE_SIZE = 1024 * 1024

/** The most that a file of many users may hold, in bytes: more than 100,000 of them. */
const MAX_LARGE_SIZE = 67_108_864

/**
 * The text of a file that somebody named on the command line.
 *
 * @param what the kind of file, for the message, such as `password file`
 * @throws AnyTlsError `ERR_FILE` when it cannot be read, is over {@link MAX_FILE_SIZE} or not UTF-8
 */
export function readTextFile(path: string, what: string): string {
  let bytes: Uint8Array
  try {
    bytes = readBounded(path)
  } catch (cause) {
    throw fileError(`cannot read ${what} '${path}': ${fileProblem(cause)}`, cause)
  }
  if (bytes.length > MAX_FILE_SIZE) {
    throw fileError(`${what} '${path}' is larger than ${MAX_FILE_SIZE} bytes`)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw fileError(`${what} '${path}' is not UTF-8 text`, cause)
  }
}

/**
 * The one line of a file that holds a secret, without its line end.
 *
 * @throws AnyTlsError `ERR_FILE` when it cannot be read, is empty or has more than one line
 */
export function readSecretFile(path: string, what: string): string {
  const secret = readTextFile(path, what).replace(/\r?\n$/, '')
  if (secret === '') throw fileError(`${what} '${path}' is empty`)
  if (/[\r\n]/.test(secret)) {
    throw fileError(`${what} '${path}' has more than one line`)
  }
  return secret
}

/** Like {@link readTextFile}, but `undefined` when there is no such file. */
export function readTextFileIfThere(path: string, what: string): string | undefined {
  try {
    return readTextFile(path, what)
  } catch (error) {
    if (error instanceof AnyTlsError && systemCode(error.cause) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * The text of a file of the program's own, which may hold a line for each of many users; `undefined` when there is none.
 *
 * @throws AnyTlsError `ERR_FILE`
 */
export function readLargeFile(path: string, what: string): string | undefined {
  let bytes: Uint8Array
  try {
    const stats = statSync(path)
    if (!stats.isFile()) throw fileError(`${what} '${path}' is no file`)
    if (stats.size > MAX_LARGE_SIZE) {
      throw fileError(`${what} '${path}' is larger than ${MAX_LARGE_SIZE} bytes`)
    }
    bytes = readFileSync(path)
  } catch (cause) {
    if (cause instanceof AnyTlsError) throw cause
    if (systemCode(cause) === 'ENOENT') return undefined
    throw fileError(`cannot read ${what} '${path}': ${fileProblem(cause)}`, cause)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw fileError(`${what} '${path}' is not UTF-8 text`, cause)
  }
}

/** Read at once, in bytes: of more, so much would outlive each collection that the young generation grows. */
const CHUNK = 16_384

/**
 * The lines of a file as {@link readLargeFile} reads it, which is not in memory as a whole; they end where it cannot be
 * read, or is no UTF-8. There are none of one that is too large.
 */
export function* readLines(path: string): Iterable<string> {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    if (fstatSync(file).size > MAX_LARGE_SIZE) return
    const chunk = new Uint8Array(CHUNK)
    const decoder = new TextDecoder('utf-8', { fatal: true })
    let rest = ''
    // Whoever writes to it meanwhile cannot make it endless.
    for (let [read, length] = [0, -1]; length !== 0 && read <= MAX_LARGE_SIZE; read += length) {
      length = readSync(file, chunk)
      const text = decoder.decode(chunk.subarray(0, length), { stream: length > 0 })
      const [head = '', ...others] = text.split('\n')
      rest += head
      for (const line of others) {
        yield rest
        rest = line
      }
    }
    yield rest
  } catch (error) {
    if (systemCode(error) === '') throw error
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/**
 * Writes a private file (mode 0600) in one step: a reader sees the old file or the whole new one.
 * Makes its folder (mode 0700) when there is none. What the superuser writes belongs to whom the old file, or the
 * folder, belongs to: a server that has given up its rights must be able to read it.
 *
 * @param text the whole, or pieces of it
 * @param mayReplace asked at the last moment: whether the lock that was taken for it still holds
 * @throws AnyTlsError `ERR_FILE` when it cannot be written
 */
export function writePrivateFile(
  path: string,
  text: string | Iterable<string>,
  mayReplace: () => boolean = () => true,
): void {
  putPrivateFile(path, text, (temporary) => {
    if (!mayReplace()) throw fileError(`cannot write '${path}': the lock was lost`)
    renameSync(temporary, path)
  })
}

/**
 * Like {@link writePrivateFile}, but never in the place of another: of several programs at once, one makes
 * the file.
 *
 * @throws AnyTlsError `ERR_FILE` when it cannot be written; its cause is `EEXIST` when it is there
 */
export function createPrivateFile(path: string, text: string): void {
  putPrivateFile(path, text, linkSync)
}

function putPrivateFile(
  path: string,
  text: string | Iterable<string>,
  put: (temporary: string, path: string) => void,
): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    makeFolder(dirname(path), 0o700)
    try {
      writeAndSync(temporary, text, fileAt(path) ?? fileAt(dirname(path)))
      put(temporary, path)
    } finally {
      rmSync(temporary, { force: true })
    }
  } catch (cause) {
    if (cause instanceof AnyTlsError) throw cause
    throw fileError(`cannot write '${path}': ${fileProblem(cause)}`, cause)
  }
}

/**
 * Makes a folder, and those that it is to be in. Not as `mkdirSync` does it with `recursive`: that never ends where a
 * folder that is there lets none be made, and says `ENOENT`, as `/proc` does.
 *
 * @throws AnyTlsError `ERR_FILE`
 */
export function makeFolder(folder: string, mode?: number): void {
  const missing: string[] = []
  let parent = resolve(folder)
  while (fileAt(parent) === undefined && dirname(parent) !== parent) {
    missing.push(parent)
    parent = dirname(parent)
  }
  for (const path of missing.reverse()) {
    try {
      mkdirSync(path, { mode })
    } catch (cause) {
      // Another program may have made it since.
      if (fileAt(path)?.isDirectory() === true) continue
      const problem = systemCode(cause) === 'ENOENT' ? 'none can be made there' : fileProblem(cause)
      throw fileError(`cannot make folder '${path}': ${problem}`, cause)
    }
  }
}

/** Whether two paths lead to one file, whatever its names; one that is not there is known by its path alone. */
export function isSameFile(one: string, other: string): boolean {
  if (resolve(one) === resolve(other)) return true
  const [first, second] = [fileAt(one), fileAt(other)]
  return first !== undefined && first.dev === second?.dev && first.ino === second.ino
}

function fileAt(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true })
  } catch {
    return undefined
  }
}

/** What a command says of a file that a user has to do something about: exit code 2. */
export function fileError(message: string, cause?: unknown): AnyTlsError {
  return new AnyTlsError('ERR_FILE', message, { cause })
}

/**
 * A result would take the place of what it is made of.
 *
 * @param what the result, for the message
 * @throws AnyTlsError `ERR_FILE`
 */
export function refuseInput(
  what: string,
  out: string,
  inputs: readonly (string | undefined)[],
): void {
  if (inputs.some((input) => input !== undefined && isSameFile(input, out))) {
    throw fileError(`cannot write ${what}: it is read here, too`)
  }
}

/** What went wrong with a file, in a few words and without its path. */
export function fileProblem(error: unknown): string {
  const code = systemCode(error)
  return PROBLEMS[code] ?? (code === '' ? 'unexpected problem' : code)
}

const PROBLEMS: Record<string, string> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is not a folder',
  EEXIST: 'something else is in its place',
  ENOSPC: 'no space left',
  EROFS: 'the file system is read-only',
}

/** The system's code of an error (`ENOENT`), or the empty string. */
export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : ''
}

/** Whether a process of this machine has this number. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCode(error) !== 'ESRCH'
  }
}

/** At most one byte more than {@link MAX_FILE_SIZE}, so that endless files end too. */
function readBounded(path: string): Uint8Array {
  const buffer = new Uint8Array(MAX_FILE_SIZE + 1)
  const file = openSync(path, 'r')
  try {
    let length = 0
    while (length < buffer.length) {
      const count = readSync(file, buffer, length, buffer.length - length, null)
      if (count === 0) break
      length += count
    }
    return buffer.subarray(0, length)
  } finally {
    closeSync(file)
  }
}

function writeAndSync(
  path: string,
  text: string | Iterable<string>,
  owner: BigIntStats | undefined,
): void {
  const file = openSync(path, 'wx', 0o600)
  try {
    if (process.getuid?.() === 0 && owner !== undefined) {
      fchownSync(file, Number(owner.uid), Number(owner.gid))
    }
    for (const piece of typeof text === 'string' ? [text] : text) writeFileSync(file, piece)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
