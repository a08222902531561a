// How a program of ours begins, how it listens, and how it ends.
// Must never wait without a bound once it was told to stop.

import { once } from 'node:events'
import { constants } from 'node:os'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { AnyTlsError } from '../errors.ts'
import { formatHostPort } from '../codec/host-port.ts'
import type { Address } from '../codec/address.ts'
import { systemCode } from '../serve/files.ts'
import type { OpenLog } from './logger.ts'
import { refuseConflicts } from './option-conflicts.ts'
import type { ClientCommandOptions, ServerCommandOptions } from './options.ts'
import { boundYoungGeneration } from './young-generation.ts'

/** How long open streams and tunnels may go on after the first signal unless told otherwise, in ms. */
export const DRAIN_TIMEOUT = 5_000

/**
 * Begins a client or a server.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for options that do not go together, once there is a log to say it in
 */
export function begin(options: ClientCommandOptions | ServerCommandOptions, openLog: OpenLog) {
  boundYoungGeneration()
  const stopped = stopSignal()
  const log = openLog({ level: options.logLevel, format: options.logFormat })
  refuseConflicts(options)
  return { stopped, log, logger: log.logger }
}

/**
 * Resolves at the first SIGINT or SIGTERM; the second one ends the process at once, with the exit code
 * that a shell gives for that signal.
 */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let told = false
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (told) process.exit(128 + constants.signals[signal])
        told = true
        resolve(signal)
      })
    }
  })
}

/** Calls `reload` for each SIGHUP, which no longer ends the process; those before `ready` are kept for it. */
export function onHangUp(reload: () => unknown): { ready(): void } {
  let [isReady, wanted] = [false, false]
  process.on('SIGHUP', () => {
    if (isReady) reload()
    else wanted = true
  })
  return {
    ready() {
      isReady = true
      if (wanted) reload()
    },
  }
}

/**
 * Waits until what has to end has ended, but not much longer than it was given.
 *
 * @param ending resolves when all is over; it should take no longer than `grace`
 * @param grace in milliseconds
 */
export async function drained(ending: Promise<unknown>, grace = DRAIN_TIMEOUT): Promise<void> {
  const limit = new AbortController()
  try {
    await Promise.race([ending, setTimeout(grace + 1_000, undefined, limit)])
  } finally {
    limit.abort()
  }
}

/** What {@link listen} needs of a server of node:net or of ours. */
export interface Listener extends NodeJS.EventEmitter {
  listen(port: number, host: string): unknown
  address(): AddressInfo | string | null
}

/**
 * Binds the port and returns the real address, for a port of 0 is the system's to choose.
 *
 * @throws AnyTlsError `ERR_LISTEN_FAILED`, one line that names the address and the reason
 */
export async function listen(server: Listener, { host, port }: Address): Promise<Address> {
  const listening = once(server, 'listening')
  server.listen(port, host)
  try {
    await listening
  } catch (cause) {
    const code = systemCode(cause)
    throw new AnyTlsError(
      'ERR_LISTEN_FAILED',
      `cannot listen on ${formatHostPort({ host, port })}: ${LISTEN_PROBLEMS[code] ?? code}`,
      { cause },
    )
  }
  const address = server.address()
  return { host, port: typeof address === 'object' && address !== null ? address.port : port }
}

const LISTEN_PROBLEMS: Record<string, string> = {
  EADDRINUSE: 'the port is in use',
  EACCES: 'permission denied (ports below 1024 may need more rights)',
  EADDRNOTAVAIL: 'this machine does not have that address',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the host cannot be looked up now',
}
