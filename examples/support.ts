// What the examples share: their command lines, and how they say that they listen or why they end.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { formatHostPort, parseHostPort } from '../src/codec.ts'

export const WIRES = ['netmux', 'muxpro', 'v1', 'legacy'] as const
export type Wire = (typeof WIRES)[number]

/** Whether `wire` runs over TLS, with a certificate and a password, and not over plain TCP. */
export function isSecure(wire: Wire): wire is 'v1' | 'legacy' {
  return wire === 'v1' || wire === 'legacy'
}

/** The command line: `--wire`, and one option for each of `defaults`. */
export function readArguments<Name extends string>(
  defaults: Record<Name, string>,
): Record<Name, string> & { wire: Wire } {
  const names = Object.entries<string>({ wire: 'netmux', ...defaults })
  const { values } = parseArgs({
    options: Object.fromEntries(
      names.map(([name, value]) => [name, { type: 'string', default: value } as const]),
    ),
  })
  if (!WIRES.some((wire) => wire === values.wire)) {
    throw new Error(`--wire must be one of ${WIRES.join(', ')}`)
  }
  return values as Record<Name, string> & { wire: Wire }
}

/** What a server of ANYTLS needs beside a port. */
export function serverSecrets({ key, cert }: { key: string; cert: string }) {
  if (key === '' || cert === '') throw new Error('with this wire --key and --cert are needed')
  return { key: readFileSync(key), cert: readFileSync(cert), password: password() }
}

/** What its client needs. Without `ca` the authorities of the system are trusted. */
export function clientSecrets({ ca }: { ca: string }) {
  return { ca: ca === '' ? undefined : readFileSync(ca), password: password() }
}

function password(): string {
  const { ANYTLS_PASSWORD = '' } = process.env
  if (ANYTLS_PASSWORD === '') throw new Error('with this wire ANYTLS_PASSWORD is needed')
  return ANYTLS_PASSWORD
}

interface Listener extends NodeJS.EventEmitter {
  listen(port: number, host: string): unknown
  address(): AddressInfo | string | null
}

/** Listens at `where`, a HOST:PORT, and says so on standard error. */
export async function listen(listener: Listener, where: string, what: string): Promise<void> {
  const { host, port } = parseHostPort(where)
  const listening = once(listener, 'listening')
  listener.listen(port, host)
  await listening
  const address = listener.address() as AddressInfo
  console.error(`${what}: listening on ${formatHostPort({ host, port: address.port })}`)
}

/** Runs an example; what goes wrong is one line and exit code 1. */
export async function run(example: () => Promise<void>): Promise<void> {
  try {
    await example()
  } catch (error) {
    console.error(messageOf(error))
    process.exit(1)
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
