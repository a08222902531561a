// Where the admin server listens: HOST:PORT, or a Unix socket for its owner alone.
import { once } from 'node:events'
import { lstatSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import type { Server } from 'node:net'
import { AnyTlsError, invalidOption } from '../../errors.ts'
import type { Address } from '../../codec/address.ts'
import { formatHostPort, parseHostPort } from '../../codec/host-port.ts'
import { isLoopback } from '../../codec/network.ts'
import { fileProblem, systemCode } from '../files.ts'

export type AdminPlace = { readonly path: string } | Address

/** The longest path that a Unix socket can have, in bytes. */
const MAX_PATH = 107

/** @throws AnyTlsError `ERR_OPTION_INVALID`, `ERR_ADDRESS_INVALID` */
export function parseAdminPlace(text: string): AdminPlace {
  if (!text.startsWith('unix:')) return parseHostPort(text)
  const path = text.slice('unix:'.length)
  if (path !== '' && !path.includes('\0') && Buffer.byteLength(path) <= MAX_PATH) return { path }
  const problem = `a Unix socket needs a path of 1 to ${MAX_PATH} bytes`
  throw invalidOption(problem)
}

export function formatAdminPlace(place: AdminPlace): string {
  return 'path' in place ? `unix:${place.path}` : formatHostPort(place)
}

/** Whether nobody but users of this machine gets there. */
export function isLocal(place: AdminPlace): boolean {
  if ('path' in place) return true
  return place.host.toLowerCase() === 'localhost' || isLoopback(place.host)
}

/**
 * Listens on a Unix socket that its owner alone may use. One that a server left which is gone is replaced.
 *
 * @throws AnyTlsError rejects with `ERR_LISTEN_FAILED`
 */
export async function listenOnPath(server: Server, path: string): Promise<void> {
  await removeLeftover(path)
  // The socket is bound before listen() returns: it never has other rights.
  const mask = process.umask(0o177)
  const listening = once(server, 'listening')
  try {
    server.listen(path)
  } finally {
    process.umask(mask)
  }
  await listening.catch((cause: unknown) => {
    throw cannotListen(path, PROBLEMS[systemCode(cause)] ?? fileProblem(cause), cause)
  })
}

const PROBLEMS: Readonly<Record<string, string>> = { EADDRINUSE: 'it is in use' }

async function removeLeftover(path: string): Promise<void> {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  if (!stats.isSocket()) throw cannotListen(path, 'there is a file of this name that is no socket')
  const socket = connect(path)
  try {
    await once(socket, 'connect')
  } catch (error) {
    if (systemCode(error) === 'ECONNREFUSED') rmSync(path, { force: true })
    return
  } finally {
    socket.destroy()
  }
  throw cannotListen(path, 'it is in use')
}

function cannotListen(path: string, problem: string, cause?: unknown): AnyTlsError {
  const message = `cannot listen on unix:${path}: ${problem}`
  return new AnyTlsError('ERR_LISTEN_FAILED', message, { cause })
}
