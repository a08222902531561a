// Who may ask the admin server: whoever reaches it, from no other site, and with the token where there is one.
// Must never let the name of another site lead here.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { AnyTlsError } from '../../errors.ts'
import { parseHostPort } from '../../codec/host-port.ts'

export interface GuardOptions {
  /** Absent where whoever reaches the server may ask. */
  readonly token: string | undefined
  /** Names under which the server is reached, beside `localhost` and any IP address. */
  readonly names: readonly string[]
}

export class Guard {
  readonly #names: ReadonlySet<string>
  #token: Buffer | undefined

  constructor({ token, names }: GuardOptions) {
    this.#names = new Set(['localhost', ...names.map((name) => name.toLowerCase())])
    this.setToken(token)
  }

  get wantsToken(): boolean {
    return this.#token !== undefined
  }

  setToken(token: string | undefined): void {
    this.#token = token === undefined ? undefined : digest(token)
  }

  /**
   * A site whose name is made to lead here keeps that name (DNS rebinding): an address is nobody's name.
   *
   * @throws AnyTlsError `ERR_REQUEST_REFUSED`
   */
  checkHost({ host }: IncomingHttpHeaders): void {
    const name = hostOf(host ?? '')
    if (name !== undefined && (isIP(name) !== 0 || this.#names.has(name))) return
    throw new AnyTlsError('ERR_REQUEST_REFUSED', 'the Host of the request is not this server')
  }

  /** @throws AnyTlsError `ERR_REQUEST_REFUSED`, `ERR_REQUEST_TOKEN` */
  check(headers: IncomingHttpHeaders): void {
    this.checkHost(headers)
    if (isFromElsewhere(headers)) {
      throw new AnyTlsError('ERR_REQUEST_REFUSED', 'the request comes from another site')
    }
    if (this.#token === undefined) return
    const [, given = ''] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? []
    if (!timingSafeEqual(digest(given), this.#token)) throw new AnyTlsError('ERR_REQUEST_TOKEN')
  }
}

/** Whether a browser says that another site asks. Programs say nothing. */
function isFromElsewhere(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  const { origin, host = '' } = headers
  if (origin === undefined) return false
  // The scheme is that of the browser, which may have come through a proxy with TLS.
  return !['http', 'https'].some(
    (scheme) => origin.toLowerCase() === `${scheme}://${host}`.toLowerCase(),
  )
}

/** The name or address in a Host header; `undefined` for one that is none. */
function hostOf(header: string): string | undefined {
  try {
    return parseHostPort(header, 0).host.toLowerCase()
  } catch {
    return undefined
  }
}

/** Equally long whatever is given. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest()
}
