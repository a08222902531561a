// Whether a program that has ended its direction still listens. On a socket a close looks like a half-close, and a wire
// without half-close would wait for an answer that nobody wants.
// Must never take a program for gone that may still read: where the system cannot tell, nothing is done.
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { endianness } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { parseIPv4, parseIPv6 } from '../../codec/ip.ts'

/**
 * When is looked after the end, in milliseconds, and how often then, at most: each time after twice as long. A close is
 * seen at once, and so is a program that has waited for its answer for a while and leaves then.
 */
const FIRST_LOOK = 100
const LAST_DELAY = 2_000

/** How many times as long as a reading took comes none, up to a limit in milliseconds: a busy machine has long tables. */
const READING_PAUSE = 20
const LONGEST_PAUSE = 250

// As the kernel writes it, see `hexAddress`.
const MAPPED = '0000000000000000FFFF0000'
const ROW = /^ *\d+: ([\dA-F]+:[\dA-F]{4}) ([\dA-F]+:[\dA-F]{4})(?: +[^ ]+){6} +(\d+) /gm

/** Both ends of a connection, its own first, as the kernel writes them. */
type Ends = readonly [own: string, other: string]

/** Connections of this machine, and whether a descriptor leads to them or the kernel alone still holds them. */
type Connections = ReadonlyMap<string, 'held' | 'orphan'>

/**
 * Once the program has ended its direction, destroys `socket`, without an error, as soon as the program has closed its
 * own: at both ends of a half-close there is somebody. To be called while it is connected. Only Linux tells, and only
 * of programs on this machine; elsewhere the wire's `linger` is the limit.
 */
export function leaveWithProgram(socket: Socket): void {
  if (process.platform !== 'linux') return
  let timer: NodeJS.Timeout | undefined
  let wasMissing = false
  const look = async (ends: Ends, next: number): Promise<void> => {
    const connections = await readConnections()
    if (socket.destroyed || connections.size === 0) return
    // What is sent to a program that has closed is answered by a reset: then our end is gone too, and nothing tells a
    // socket that has read to the end. A table that changes while it is read may lack a row once.
    const isMissing = !connections.has(keyOf(ends))
    const isOrphan = connections.get(keyOf([ends[1], ends[0]])) === 'orphan'
    if (isOrphan || (isMissing && wasMissing)) socket.destroy()
    else lookIn(Math.min(next, LAST_DELAY), ends)
    wasMissing = isMissing
  }
  const lookIn = (delay: number, known?: Ends): void => {
    timer = setTimeout(() => {
      // Most sockets are closed by now.
      const ends = known ?? localEnds(socket)
      if (ends !== undefined) void look(ends, 2 * delay)
    }, delay).unref()
  }
  socket.once('end', () => lookIn(FIRST_LOOK))
  socket.once('close', () => clearTimeout(timer))
}

/** Our end and the program's, if both are of this machine. */
function localEnds(socket: Socket): Ends | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket
  if (remoteAddress === undefined || localAddress === undefined) return undefined
  const isLocal = remoteAddress === localAddress || /^(?:::ffff:)?127\./.test(remoteAddress)
  return isLocal ? [hexEnd(localAddress, localPort), hexEnd(remoteAddress, remotePort)] : undefined
}

function keyOf([own, other]: Ends): string {
  return `${own} ${other}`
}

function hexEnd(address: string, port = 0): string {
  const bytes = parseIPv4(address.replace(/^::ffff:/, '')) ?? parseIPv6(address)
  return `${hexAddress(bytes ?? [])}:${hex(port, 4)}`
}

/** The kernel prints an address as words of 32 bits in the byte order of the machine. */
function hexAddress(bytes: ArrayLike<number>): string {
  const ordered = Array.from(bytes, (_, index) => {
    return bytes[endianness() === 'LE' ? index ^ 3 : index] ?? 0
  })
  return ordered.map((byte) => hex(byte, 2)).join('')
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}

let reading: Promise<unknown> = Promise.resolve()
let waiting: Promise<Connections> | undefined

/** One reading serves all that ask before it begins, and there is one at a time, with a pause behind it. */
function readConnections(): Promise<Connections> {
  waiting ??= reading.then(() => {
    waiting = undefined
    const started = performance.now()
    const now = readTables()
    reading = now.then(() => {
      const wait = READING_PAUSE * (performance.now() - started)
      return pause(Math.min(wait, LONGEST_PAUSE), undefined, { ref: false })
    })
    return now
  })
  return waiting
}

async function readTables(): Promise<Connections> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'latin1').catch(() => '')),
  )
  return parseConnections(tables.join('\n'))
}

/** @param tables what the kernel tells of TCP over IPv4 and IPv6; an IPv4 address may stand in either */
export function parseConnections(tables: string): Connections {
  const connections = new Map<string, 'held' | 'orphan'>()
  for (const [, own = '', other = '', inode] of tables.matchAll(ROW)) {
    connections.set(keyOf([plain(own), plain(other)]), inode === '0' ? 'orphan' : 'held')
  }
  return connections
}

function plain(end: string): string {
  return end.startsWith(MAPPED) ? end.slice(MAPPED.length) : end
}
