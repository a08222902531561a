// `anytls server --acme`: a certificate of an authority, for the server that runs.
// Must never keep the server from serving: until the first certificate stands, the kept one does.

import type { Logger } from 'pino'
import type { Address } from '../codec/address.ts'
import { formatHostPort } from '../codec/host-port.ts'
import { AcmeKeeper } from '../serve/acme.ts'
import { HttpChallenges, TlsChallenges } from '../serve/acme-order.ts'
import type { ServerCertificate } from '../serve/certificate.ts'
import type { KeyAndCertificate } from '../serve/self-signed.ts'
import type { ServerEndpoint } from '../serve/users/store.ts'
import { listen } from './lifecycle.ts'
import type { ServerCommandOptions } from './options.ts'
import { stateFolder } from './state-folder.ts'

/** What is told of the server, one or many, that uses the certificate. */
export interface CertificateUser {
  setCertificate(certificate: ServerCertificate): void
  setChallenge(name: string, answer?: KeyAndCertificate): void
}

export interface Acme {
  /** The certificate of before, if it is still good. */
  readonly kept: ServerCertificate | undefined
  /** @throws AnyTlsError `ERR_LISTEN_FAILED` */
  start(): Promise<void>
  stop(): void
}

/** What the options ask for; `undefined` when it is nothing. */
export function prepareAcme(
  options: ServerCommandOptions,
  user: CertificateUser,
  logger: Logger,
): Acme | undefined {
  const { acme: names, acmeEmail: email, acmeDirectory: directory, acmeHttp } = options
  if (names === undefined) return undefined
  const http = acmeHttp && new HttpChallenges()
  const setChallenge = (name: string, answer?: KeyAndCertificate) => user.setChallenge(name, answer)
  const keeper = new AcmeKeeper({
    names,
    email,
    directory,
    folder: stateFolder(options.stateDir),
    way: http ?? new TlsChallenges(setChallenge),
    observer: {
      obtained(certificate, until) {
        user.setCertificate(certificate)
        logger.info({ names, until: until.toISOString() }, 'certificate: obtained')
      },
      failed(error, wait) {
        const seconds = Math.round(wait / 1_000)
        logger.error({ err: error, names }, `certificate: not obtained, next try in ${seconds} s`)
      },
    },
  })
  return {
    kept: keeper.kept,
    async start() {
      if (http) {
        const address = await listen(http.server, acmeHttp)
        logger.info(`challenges are answered on ${formatHostPort(address)}`)
      }
      keeper.start()
    },
    stop() {
      keeper.stop()
      http?.server.close()
      http?.server.closeAllConnections()
    },
  }
}

/** Where a server is that has its names certified: links need no pin, also before the first certificate stands. */
export function endpointOfName(
  address: Address,
  names: readonly string[],
  known?: Address,
): ServerEndpoint {
  const [name = ''] = names
  const host = known?.host ?? name
  const sni = names.includes(host.toLowerCase()) ? undefined : name
  return { host, port: known?.port || address.port, sni, pin: undefined }
}
