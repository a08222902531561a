// From what `--users` says to the store that it means.
import { invalidOption } from '../../errors.ts'
import { openFileStore } from './file-store.ts'
import type { StoreOptions, UserStore } from './store.ts'

/**
 * Opens the store at `place`: the path of a file, or a URL.
 *
 * @throws AnyTlsError rejects with `ERR_OPTION_INVALID` for a kind of place that is not known, or what opening throws
 */
export async function openUserStore(place: string, options: StoreOptions): Promise<UserStore> {
  const [, scheme] = /^([a-z][a-z\d+.-]*):\/\//i.exec(place) ?? []
  switch (scheme?.toLowerCase()) {
    case undefined:
      return openFileStore(place, options)
    // What reaches them is loaded for them alone.
    case 'uniproxy+https':
    case 'uniproxy+http':
      return (await import('../panel/panel-store.ts')).openPanelStore(place, options)
    case 'redis':
    case 'rediss':
      return (await import('../redis/redis-store.ts')).openRedisStore(place, options)
    default: {
      const problem = `users cannot be kept in a place of the kind ${scheme}://`
      throw invalidOption(problem)
    }
  }
}
