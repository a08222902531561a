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

/**
 * How many times as long as a reading took comes none, up to a limit in milliseconds: a machine that makes 500 connections
 * a second keeps those of the last minute in its tables.
 */
const READING_PAUSE = 20
const LONGEST_PAUSE = 1_000

// As the kernel writes it, see `hexAddress`: how many characters an end has, and what stands in front of an IPv4 address in the
// table of IPv6.
const [IPV4_END, IPV6_END] = [13, 37]
const MAPPED = '0000000000000000FFFF0000'
/** What stands between both ends and the inode. */
const INODE = /(?: +[^ ]+){6} +(\d+) /y

/** Both ends of a connection, its own first, as the kernel writes them. */
type Ends = readonly [own: string, other: string]

/** Connections of this machine, and whether a descriptor leads to them or the kernel alone still holds them. */
type Connections = ReadonlyMap<string, 'held' | 'orphan'>

/**
 * Once the program has ended its direction, destroys `socket`, without an error, as soon as the program has closed its
 * own: at both ends of a half-close there is somebody. To be called while it is connected. Only Linux tells, and only
 * of programs on this machine; elsewhere the wire's `linger` is the limit.
 *
 * @param mayLeave whether nothing more is to be done for the program; asked each time
 */
export function leaveWithProgram(socket: Socket, mayLeave = () => true): void {
  if (process.platform !== 'linux') return
  let timer: NodeJS.Timeout | undefined
  let wasMissing = false
  const look = async (ends: Ends, next: number): Promise<void> => {
    const [own, other] = [keyOf(ends), keyOf([ends[1], ends[0]])]
    const connections = await readConnections(own, other)
    if (socket.destroyed || connections === undefined) return
    // What is sent to a program that has closed is answered by a reset: then our end is gone too, and nothing tells a
    // socket that has read to the end. A table that changes while it is read may lack a row once.
    const isMissing = !connections.has(own)
    const isOrphan = connections.get(other) === 'orphan'
    if (isOrphan || (isMissing && wasMissing)) socket.destroy()
    else lookIn(Math.min(next, LAST_DELAY), ends)
    wasMissing = isMissing
  }
  const lookIn = (delay: number, known?: Ends): void => {
    timer = setTimeout(() => {
      // Most sockets are closed by now.
      const ends = known ?? localEnds(socket)
      if (ends === undefined) return
      if (mayLeave()) void look(ends, 2 * delay)
      else lookIn(Math.min(2 * delay, LAST_DELAY), ends)
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
let waiting: Promise<Connections | undefined> | undefined
/** What those that wait for the next reading ask for. */
let wanted = new Set<string>()

/** One reading serves all that ask before it begins, and there is one at a time, with a pause behind it. */
function readConnections(...keys: readonly string[]): Promise<Connections | undefined> {
  for (const key of keys) wanted.add(key)
  waiting ??= reading.then(() => {
    const asked = wanted
    wanted = new Set()
    waiting = undefined
    const started = performance.now()
    const now = readTables(asked)
    reading = now.then(() => {
      const wait = READING_PAUSE * (performance.now() - started)
      return pause(Math.min(wait, LONGEST_PAUSE), undefined, { ref: false })
    })
    return now
  })
  return waiting
}

async function readTables(asked: ReadonlySet<string>): Promise<Connections | undefined> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'latin1').catch(() => '')),
  )
  return findConnections(tables.join('\n'), asked)
}

/**
 * Those that are asked for, of what may be 100,000.
 *
 * @param tables what the kernel tells of TCP over IPv4 and IPv6; an IPv4 address may stand in either
 * @returns `undefined` where it tells of none at all
 */
export function findConnections(
  tables: string,
  asked: ReadonlySet<string>,
): Connections | undefined {
  const found = new Map<string, 'held' | 'orphan'>()
  let row = tables.indexOf(': ')
  if (row === -1) return undefined
  while (row !== -1) {
    const own = row + 2
    const length = tables[own + IPV4_END] === ' ' ? IPV4_END : IPV6_END
    const other = own + length + 1
    const key =
      length === IPV4_END
        ? tables.slice(own, other + length)
        : keyOf([
            plain(tables.slice(own, own + length)),
            plain(tables.slice(other, other + length)),
          ])
    if (asked.has(key)) {
      INODE.lastIndex = other + length
      const [, inode] = INODE.exec(tables) ?? []
      if (inode !== undefined) found.set(key, inode === '0' ? 'orphan' : 'held')
    }
    const next = tables.indexOf('\n', other)
    row = next === -1 ? -1 : tables.indexOf(': ', next)
  }
  return found
}

function plain(end: string): string {
  return end.startsWith(MAPPED) ? end.slice(MAPPED.length) : end
}
