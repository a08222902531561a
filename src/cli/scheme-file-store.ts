// Keeps the padding schemes that servers sent in a file, for connections after a restart (D23).
// Must never fail a connection: what is wrong with the file is told, and life goes on without it.

import { describeError } from './logger.ts'
import { MAX_FILE_SIZE, readTextFileIfThere, writePrivateFile } from './files.ts'
import { parsePeerScheme } from '../shaping/scheme.ts'
import type { Scheme } from '../shaping/scheme.ts'
import type { SchemeStore } from '../shaping/scheme-store.ts'

/** Most servers that are remembered; the one heard of longest ago goes first. */
export const MAX_SERVERS = 256

const VERSION = 1

/** A {@link SchemeStore} in one JSON file, written in one step whenever a server sends a new scheme. */
export class SchemeFileStore implements SchemeStore {
  readonly #file: string
  readonly #warn: (problem: string) => void
  /** In the order of arrival: the first key is the oldest. */
  readonly #schemes: Map<string, Scheme>

  /**
   * Reads the file, if there is one.
   *
   * @param warn told of a file that is damaged or cannot be read or written, in one line
   */
  constructor(file: string, warn: (problem: string) => void) {
    this.#file = file
    this.#warn = warn
    this.#schemes = this.#read()
  }

  get(server: string): Scheme | undefined {
    return this.#schemes.get(server)
  }

  set(server: string, scheme: Scheme): void {
    const known = this.#schemes.get(server)
    this.#schemes.delete(server)
    this.#schemes.set(server, scheme)
    // The file holds it already, though not yet in this order.
    if (known?.digest === scheme.digest) return
    if (this.#schemes.size > MAX_SERVERS) this.#dropOldest()
    try {
      writePrivateFile(this.#file, this.#serialize())
    } catch (error) {
      this.#warn(`the padding scheme of ${server} is not kept: ${describeError(error)}`)
    }
  }

  #read(): Map<string, Scheme> {
    try {
      const text = readTextFileIfThere(this.#file, 'scheme store')
      return text === undefined ? new Map<string, Scheme>() : this.#parse(text)
    } catch (error) {
      this.#warn(`starting without kept padding schemes: ${describeError(error)}`)
      return new Map()
    }
  }

  #parse(text: string): Map<string, Scheme> {
    const schemes = new Map<string, Scheme>()
    const servers = Object.entries(readServers(text)).slice(-MAX_SERVERS)
    for (const [server, entry] of servers) {
      const scheme = parseEntry(entry)
      if (scheme !== undefined) schemes.set(server, scheme)
    }
    const skipped = servers.length - schemes.size
    if (skipped > 0) {
      this.#warn(`${skipped} of ${servers.length} kept padding schemes cannot be used: skipped`)
    }
    return schemes
  }

  /** What the file will hold: no more than can be read again. */
  #serialize(): string {
    for (;;) {
      const texts = Array.from(this.#schemes, ([server, { text }]) => [server, text] as const)
      const file = { version: VERSION, servers: Object.fromEntries(texts) }
      const json = `${JSON.stringify(file, null, 2)}\n`
      if (Buffer.byteLength(json) <= MAX_FILE_SIZE) return json
      this.#dropOldest()
    }
  }

  #dropOldest(): void {
    const oldest = this.#schemes.keys().next()
    if (oldest.done !== true) this.#schemes.delete(oldest.value)
  }
}

function parseEntry(entry: unknown): Scheme | undefined {
  if (typeof entry !== 'string') return undefined
  try {
    return parsePeerScheme(entry)
  } catch {
    return undefined
  }
}

function readServers(text: string): Record<string, unknown> {
  let file: unknown
  try {
    file = JSON.parse(text)
  } catch {
    throw damaged()
  }
  if (!isObject(file) || file['version'] !== VERSION || !isObject(file['servers'])) throw damaged()
  return file['servers']
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function damaged(): Error {
  return new Error('the scheme store is damaged')
}
