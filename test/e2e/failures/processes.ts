// What Linux tells of processes: children, descriptors, whose a connection is.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'

/** The processes that `parent` has started. */
export function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/status`, 'utf8').includes(`PPid:\t${parent}\n`)
      } catch {
        return false
      }
    })
    .map(Number)
}

/** What each descriptor of a process leads to. */
export function descriptorsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder).flatMap((name) => {
    try {
      return [readlinkSync(`${folder}/${name}`)]
    } catch {
      return []
    }
  })
}

/** A row of /proc/net/tcp: local address, remote address, state, the socket that a descriptor leads to. */
interface Connection {
  readonly local: number
  readonly remote: number
  readonly socket: string
}

/** The connections over IPv4 of all processes that stand. */
export function connections(): Connection[] {
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)
  return rows.flatMap((row) => {
    // 01 is ESTABLISHED; most of the others have nobody any more.
    const [, local = '', remote = ''] =
      /^ *\d+: [\dA-F]{8}:([\dA-F]{4}) [\dA-F]{8}:([\dA-F]{4}) 01 /.exec(row) ?? []
    if (local === '') return []
    const inode = row.trim().split(/\s+/)[9] ?? ''
    return [
      { local: parseInt(local, 16), remote: parseInt(remote, 16), socket: `socket:[${inode}]` },
    ]
  })
}
