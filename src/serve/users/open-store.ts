// From what `--users` says to the store that it means.
// Must never repeat a place that holds a password in an error.
import { AnyTlsError } from '../../errors.ts'
import { openFileStore } from './file-store.ts'
import type { FileStoreOptions } from './file-store.ts'
import type { UserStore } from './store.ts'

/**
 * Opens the store at `place`: the path of a file, or a URL.
 *
 * @throws AnyTlsError rejects with `ERR_OPTION_INVALID` for a kind of place that is not known, or what opening throws
 */
export function openUserStore(place: string, options: FileStoreOptions): Promise<UserStore> {
  const [, scheme] = /^([a-z][a-z\d+.-]*):\/\//i.exec(place) ?? []
  if (scheme === undefined) return openFileStore(place, options)
  const problem = `users cannot be kept in a place of the kind ${scheme}://`
  return Promise.reject(new AnyTlsError('ERR_OPTION_INVALID', problem))
}
