// The share link of a user: where the server is, and the user's own password.
// Must never claim more of a certificate than the server has said.
import type { Address } from '../../codec/address.ts'
import type { ShareLink } from '../share-link.ts'
import type { ServerEndpoint } from './store.ts'

/** @param known where clients reach the server instead, if that was said; port 0 for the endpoint's own */
export function linkTo(
  { host, port, sni, pin }: ServerEndpoint,
  password: string,
  { name, known }: { readonly name?: string; readonly known?: Address | undefined } = {},
): ShareLink {
  return {
    host: known?.host ?? host,
    port: known?.port || port,
    password,
    insecure: false,
    ...(sni !== undefined && { sni }),
    ...(pin !== undefined && { pin }),
    ...(name !== undefined && { name }),
  }
}
