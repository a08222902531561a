// The admin server of `anytls server --admin`.
// Must never listen where others of the network come without a token.

import type { Address } from '../codec/address.ts'
import { invalidOption } from '../errors.ts'
import { AdminServer } from '../serve/admin/admin-server.ts'
import type { AdminOptions } from '../serve/admin/admin-server.ts'
import { formatAdminPlace, isLocal, listenOnPath } from '../serve/admin/place.ts'
import type { AdminPlace } from '../serve/admin/place.ts'
import { fileError, readSecretFile } from '../serve/files.ts'
import { listen } from './lifecycle.ts'

export interface AdminSettings extends Omit<AdminOptions, 'token' | 'names'> {
  readonly place: AdminPlace
  readonly tokenFile: string | undefined
  /** The name by which clients know the server; browsers may use it here, too. */
  readonly publicName: string | undefined
  /** Keeps clients from an address: nobody gets to the admin server through the server. */
  readonly reserve: (address: Address) => unknown
}

/** An admin server that listens. */
export interface RunningAdmin {
  readonly place: AdminPlace
  /** Reads the token anew. @throws AnyTlsError `ERR_FILE`; the old one stays */
  reload(tokenFile: string | undefined): void
  /** Says from now on that the server takes nobody new. */
  drain(): void
  close(): Promise<void>
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` for a place that needs a token, `ERR_FILE`, `ERR_LISTEN_FAILED` */
export async function startAdmin(settings: AdminSettings): Promise<RunningAdmin> {
  const { place, tokenFile, publicName, reserve } = settings
  const token = readToken(place, tokenFile)
  const names = [...('host' in place ? [place.host] : []), ...(publicName ? [publicName] : [])]
  const admin = new AdminServer({ ...settings, token, names })
  const listening = 'path' in place ? place : await listen(admin.http, place)
  if ('path' in place) await listenOnPath(admin.http, place.path)
  const bound = admin.http.address()
  if (typeof bound === 'object' && bound !== null) {
    reserve({ host: bound.address, port: bound.port })
  }
  return {
    place: listening,
    reload: (file) => admin.setToken(readToken(place, file)),
    drain: () => admin.drain(),
    close: () => admin.close(),
  }
}

function readToken(place: AdminPlace, file: string | undefined): string | undefined {
  if (file === undefined) {
    if (isLocal(place)) return undefined
    const problem = `--admin ${formatAdminPlace(place)}: others can reach it, so it needs --admin-token-file`
    throw invalidOption(problem)
  }
  const token = readSecretFile(file, 'token file')
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw fileError(`token file '${file}': a token has no spaces, and nothing but ASCII`)
}
