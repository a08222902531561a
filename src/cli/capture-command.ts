// `anytls capture`: relays TCP connections and writes down the TLS records that go by, until it is told to stop.

import { lookup } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { createCapture } from '../harness/capture/capture.ts'
import { CAPTURE_FORMAT, CAPTURE_VERSION } from '../harness/capture/capture-event.ts'
import { createCaptureFile } from '../harness/capture/capture-file.ts'
import type { CaptureFile } from '../harness/capture/capture-file.ts'
import type { CaptureSink } from '../harness/capture/recorder.ts'
import { invalidOption } from '../errors.ts'
import { formatHostPort } from '../codec/host-port.ts'
import type { CaptureCommandOptions } from './capture-options.ts'
import { fileError, fileProblem } from '../serve/files.ts'
import { DRAIN_TIMEOUT, drained, listen, stopSignal } from './lifecycle.ts'
import type { OpenLog } from './logger.ts'

/**
 * Runs the capture; resolves when it has been told to stop and the file is whole.
 *
 * @throws AnyTlsError `ERR_LISTEN_FAILED`; `ERR_OPTION_INVALID` when it would relay to itself; `ERR_FILE` when
 * the file cannot be written, at first or later
 */
export async function runCapture(options: CaptureCommandOptions, openLog: OpenLog): Promise<void> {
  const { to, out, maxRecords } = options
  const stopped = stopSignal()
  const log = openLog({ level: options.logLevel, format: options.logFormat })
  let file: CaptureFile | undefined
  const sink: CaptureSink = {
    write(event) {
      if (event.event === 'limit') log.logger.warn(`too many ${event.of}: relaying on unrecorded`)
      return file?.write(event)
    },
  }
  const capture = createCapture({ to, maxRecords, sink })
  // A name takes time, so not once connections may come.
  const targets = to.port === options.listen.port ? await addressesOf(to.host) : [to.host]
  const address = await listen(capture.server, options.listen)
  const bound = capture.server.address() as AddressInfo
  if (bound.port === to.port && targets.some((target) => isReachedBy(bound, target))) {
    const message = `--to ${formatHostPort(to)} is where it listens itself: it would relay to itself`
    throw invalidOption(message)
  }
  try {
    // Only now, so that a port in use costs no older capture; at once, so that no connection comes before.
    file = createCaptureFile(out, {
      ...{ format: CAPTURE_FORMAT, version: CAPTURE_VERSION },
      ...{ to: formatHostPort(to), started: new Date().toISOString() },
    })
    log.announce(`listening on ${formatHostPort(address)}`)
    log.logger.info(`${await Promise.race([stopped, file.failed])}: stopping`)
    await Promise.race([drained(capture.stop(DRAIN_TIMEOUT)), file.failed])
    await Promise.race([file.close(), file.failed])
  } catch (cause) {
    const message = `cannot write capture '${out}': ${fileProblem(cause)}`
    throw fileError(message, cause)
  }
}

/** None when the name cannot be looked up: each connection finds that out for itself. */
async function addressesOf(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address)
  } catch {
    return []
  }
}

/** Whether a connection to the address, at the same port, comes to what is bound there. */
function isReachedBy({ address }: AddressInfo, target: string): boolean {
  // To connect to the wildcard is to connect to this machine.
  const named = { '0.0.0.0': '127.0.0.1', '::': '::1' }[target] ?? target
  if (address === named) return true
  if (address !== '::' && (address !== '0.0.0.0' || isIPv6(named))) return false
  const own = Object.values(networkInterfaces()).flatMap((list = []) => list)
  return named.startsWith('127.') || own.some((face) => face.address === named)
}
