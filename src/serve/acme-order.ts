// One order of a certificate at an authority (ACME, RFC 8555), and the two ways to answer its challenges.
import type { RequestListener, Server as HttpServer } from 'node:http'
import type { KeyAndCertificate } from './self-signed.ts'

/** How an authority is shown that a name is ours. */
export interface ChallengeWay {
  /** What ACME calls it. */
  readonly type: 'http-01' | 'tls-alpn-01'
  /** @param keyAuthorization what the authority wants to see (RFC 8555, section 8.1) */
  answer(name: string, token: string, keyAuthorization: string): Promise<void>
  remove(name: string, token: string): void
}

/** Who we are to an authority. */
export interface AcmeAccount {
  /** Private key, PEM. */
  readonly key: string
  /** What the authority calls the account. */
  readonly url: string
}

export interface Order {
  /** Names that the certificate is for. */
  readonly names: readonly string[]
  /** URL of the authority's directory. */
  readonly directory: string
  readonly account: AcmeAccount
  readonly way: ChallengeWay
}

/** How long one request to an authority may take, in milliseconds. */
const REQUEST_TIMEOUT = 30_000
/** Most bytes of an answer of an authority. */
const ANSWER_MAX = 1024 * 1024
/** How often the authority is asked whether it is done, and the shortest and longest wait between, in milliseconds. */
const PATIENCE = { backoffAttempts: 12, backoffMin: 1_000, backoffMax: 15_000 }

/**
 * Makes an account at an authority, whose terms it agrees to.
 *
 * @param email where the authority may write to
 */
export async function createAccount(
  directory: string,
  email: string | undefined,
): Promise<AcmeAccount> {
  const acme = await importAcme()
  const key = await makeKey()
  const client = new acme.Client({ directoryUrl: directory, accountKey: key, ...PATIENCE })
  await client.createAccount({
    termsOfServiceAgreed: true,
    ...(email !== undefined && { contact: [`mailto:${email}`] }),
  })
  return { key, url: client.getAccountUrl() }
}

/** Orders a certificate with a key of its own; rejects with what the authority said. */
export async function orderCertificate(order: Order): Promise<KeyAndCertificate> {
  const acme = await importAcme()
  const { names, directory, account, way } = order
  const client = new acme.Client({
    directoryUrl: directory,
    accountKey: account.key,
    accountUrl: account.url,
    ...PATIENCE,
  })
  const key = await makeKey()
  const [, csr] = await acme.crypto.createCsr({ altNames: [...names] }, key)
  const cert = await client.auto({
    csr,
    // Looked at from here a name may lead elsewhere than from there.
    skipChallengeVerification: true,
    challengePriority: [way.type],
    async challengeCreateFn({ identifier }, challenge, keyAuthorization) {
      if (challenge.type !== way.type) throw new Error(`the authority does not offer ${way.type}`)
      await way.answer(identifier.value, challenge.token, keyAuthorization)
    },
    challengeRemoveFn({ identifier }, { token }) {
      way.remove(identifier.value, token)
      return Promise.resolve()
    },
  })
  return { key, cert }
}

/** Answers on port 80, or the port that is reached as such. Everything else there is sent on to HTTPS. */
export class HttpChallenges implements ChallengeWay {
  readonly type = 'http-01'
  /** To be bound by whoever made this. */
  readonly server: HttpServer
  readonly #answers = new Map<string, string>()

  constructor() {
    const { createServer } = process.getBuiltinModule('node:http')
    this.server = createServer({ requestTimeout: 30_000 }, this.#respond)
  }

  answer(_name: string, token: string, keyAuthorization: string): Promise<void> {
    this.#answers.set(token, keyAuthorization)
    return Promise.resolve()
  }

  remove(_name: string, token: string): void {
    this.#answers.delete(token)
  }

  readonly #respond: RequestListener = (request, response) => {
    const { url = '/', headers } = request
    const [, token = ''] = /^\/\.well-known\/acme-challenge\/([\w-]+)$/.exec(url) ?? []
    const answer = this.#answers.get(token)
    const [host = ''] = /^[\w.-]+/.exec(headers.host ?? '') ?? []
    if (answer !== undefined) {
      response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(answer)
    } else if (host === '' || !url.startsWith('/')) {
      response.writeHead(400).end()
    } else {
      response.writeHead(301, { Location: `https://${host}${url}` }).end()
    }
  }
}

/** Answers on the server's own port (RFC 8737), where that is reached as 443. */
export class TlsChallenges implements ChallengeWay {
  readonly type = 'tls-alpn-01'
  readonly #setChallenge: (name: string, answer?: KeyAndCertificate) => void

  /** @param setChallenge of the server */
  constructor(setChallenge: (name: string, answer?: KeyAndCertificate) => void) {
    this.#setChallenge = setChallenge
  }

  async answer(name: string, _token: string, keyAuthorization: string): Promise<void> {
    const acme = await importAcme()
    const identifier = { type: 'dns', value: name }
    const authorization = { identifier } as Parameters<typeof acme.crypto.createAlpnCertificate>[0]
    const [key, cert] = await acme.crypto.createAlpnCertificate(
      authorization,
      keyAuthorization,
      await makeKey(),
    )
    this.#setChallenge(name, { key: String(key), cert: String(cert) })
  }

  remove(name: string): void {
    this.#setChallenge(name)
  }
}

/** A private key, PEM. */
async function makeKey(): Promise<string> {
  const acme = await importAcme()
  return String(await acme.crypto.createPrivateEcdsaKey('P-256'))
}

/** Loaded only when it is needed; its answers are bounded. */
async function importAcme() {
  // It is CommonJS: bundled, it has nothing but a default export.
  const { default: acme } = await import('acme-client')
  const { defaults } = acme.axios
  Object.assign(defaults, {
    timeout: REQUEST_TIMEOUT,
    maxContentLength: ANSWER_MAX,
    // Whoever orders waits and tries again.
    acmeSettings: {
      ...(defaults as { acmeSettings?: object }).acmeSettings,
      retryMaxAttempts: 1,
      retryDefaultDelay: 1,
    },
  })
  return acme
}
