// The share link of a user, and where the user's subscription is: what leads to the server.
import type { Address } from '../../codec/address.ts'
import { formatHostPort } from '../../codec/host-port.ts'
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

/**
 * Where the subscription is. Apps check the certificate, so the name that it has counts more than the host.
 *
 * @param known as in {@link linkTo}
 */
export function subscriptionUrl(
  { host, port, sni }: ServerEndpoint,
  subscription: string,
  known?: Address,
): string {
  const address = { host: known?.host ?? sni ?? host, port: known?.port || port }
  return new URL(`/${subscription}`, `https://${formatHostPort(address)}`).href
}
