// From what `--users` says to the store that it means.
import { invalidOption } from '../../errors.ts'
import { FileStore } from './file-store.ts'
import type { StoreOptions, UserStore } from './store.ts'

/**
 * Opens the store at `place`: the path of a file, or a URL.
 *
 * @throws AnyTlsError rejects with `ERR_OPTION_INVALID` for a kind of place that is not known, or what opening throws
 */
export async function openUserStore(place: string, options: StoreOptions): Promise<UserStore> {
  const Store = await kindOf(place)
  const store = new Store(place, options)
  await store.open()
  return store
}

/** What reaches places elsewhere is loaded for them alone. */
async function kindOf(place: string) {
  const [, scheme] = /^([a-z][a-z\d+.-]*):\/\//i.exec(place) ?? []
  switch (scheme?.toLowerCase()) {
    case undefined:
      return FileStore
    case 'uniproxy+https':
    case 'uniproxy+http':
      return (await import('../panel/panel-store.ts')).PanelStore
    case 'redis':
    case 'rediss':
      return (await import('../redis/redis-store.ts')).RedisStore
    default:
      throw invalidOption(`users cannot be kept in a place of the kind ${scheme}://`)
  }
}
