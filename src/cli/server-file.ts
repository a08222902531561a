// One JSON file with something to remember of each server, for the next start.

import { describeError } from './failure.ts'
import { MAX_FILE_SIZE, readTextFileIfThere, writePrivateFile } from '../serve/files.ts'
import { isObject } from '../serve/json.ts'

/** Most servers that are remembered; the one heard of longest ago goes first. */
export const MAX_SERVERS = 256

const VERSION = 1

/** What is remembered, and how it is written down. */
export interface ServerFileFormat<T> {
  /** What the file is called in a warning, such as `padding schemes`. */
  readonly what: string
  readonly encode: (value: T) => string
  /** `undefined` for a text that cannot be used. */
  readonly decode: (text: string) => T | undefined
}

/** Written in one step whenever something new is learnt. */
export class ServerFile<T> {
  readonly #file: string
  readonly #format: ServerFileFormat<T>
  readonly #warn: (problem: string) => void
  /** In the order of arrival: the first key is the oldest. */
  readonly #values: Map<string, T>

  /**
   * Reads the file, if there is one.
   *
   * @param warn told of a file that is damaged or cannot be read or written, in one line
   */
  constructor(file: string, format: ServerFileFormat<T>, warn: (problem: string) => void) {
    this.#file = file
    this.#format = format
    this.#warn = warn
    this.#values = this.#read()
  }

  get(server: string): T | undefined {
    return this.#values.get(server)
  }

  set(server: string, value: T): void {
    const known = this.#values.get(server)
    this.#values.delete(server)
    this.#values.set(server, value)
    // The file holds it already, though not yet in this order.
    const { encode } = this.#format
    if (known !== undefined && encode(known) === encode(value)) return
    if (this.#values.size > MAX_SERVERS) this.#dropOldest()
    this.#write(server)
  }

  delete(server: string): void {
    if (this.#values.delete(server)) this.#write(server)
  }

  #write(server: string): void {
    try {
      writePrivateFile(this.#file, this.#serialize())
    } catch (error) {
      this.#warn(`the ${this.#format.what} of ${server} are not kept: ${describeError(error)}`)
    }
  }

  #read(): Map<string, T> {
    try {
      const text = readTextFileIfThere(this.#file, this.#format.what)
      return text === undefined ? new Map<string, T>() : this.#parse(text)
    } catch (error) {
      this.#warn(`starting without kept ${this.#format.what}: ${describeError(error)}`)
      return new Map()
    }
  }

  #parse(text: string): Map<string, T> {
    const values = new Map<string, T>()
    const servers = Object.entries(readServers(text)).slice(-MAX_SERVERS)
    for (const [server, entry] of servers) {
      const value = typeof entry === 'string' ? this.#format.decode(entry) : undefined
      if (value !== undefined) values.set(server, value)
    }
    const skipped = servers.length - values.size
    if (skipped > 0) {
      const { what } = this.#format
      this.#warn(`${skipped} of ${servers.length} kept ${what} cannot be used: skipped`)
    }
    return values
  }

  /** What the file will hold: no more than can be read again. */
  #serialize(): string {
    for (;;) {
      const { encode } = this.#format
      const texts = Array.from(this.#values, ([server, value]) => [server, encode(value)] as const)
      const file = { version: VERSION, servers: Object.fromEntries(texts) }
      const json = `${JSON.stringify(file, null, 2)}\n`
      if (Buffer.byteLength(json) <= MAX_FILE_SIZE) return json
      this.#dropOldest()
    }
  }

  #dropOldest(): void {
    const oldest = this.#values.keys().next()
    if (oldest.done !== true) this.#values.delete(oldest.value)
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

function damaged(): Error {
  return new Error('the file is damaged')
}
