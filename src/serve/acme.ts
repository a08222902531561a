// Keeps a certificate of an authority (ACME) for the names of a server: orders the first, renews it in time.
// Must never ask an authority more often than it bears, or give up.
import { createHash, randomInt, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { createAccount, orderCertificate } from './acme-order.ts'
import type { AcmeAccount, ChallengeWay } from './acme-order.ts'
import { readJoined } from './certificate.ts'
import type { ServerCertificate } from './certificate.ts'
import { readTextFileIfThere, writePrivateFile } from './files.ts'

export interface AcmeOptions {
  /** Names that the certificate is for, at least one. */
  readonly names: readonly string[]
  readonly email?: string | undefined
  /** URL of the authority's directory. */
  readonly directory: string
  /** The state folder. Account key and certificate stand in it, 0600. */
  readonly folder: string
  readonly way: ChallengeWay
  readonly observer: AcmeObserver
  /** The first wait after an order that failed, in milliseconds; it doubles. Default two minutes. */
  readonly firstWait?: number
}

/** Is told what happens. */
interface AcmeObserver {
  /** A certificate to serve from now on. */
  obtained(certificate: ServerCertificate, until: Date): void
  /** @param wait milliseconds until the next try */
  failed(error: unknown, wait: number): void
}

/** Let's Encrypt, which bears five failures in an hour for a name: these waits make five. */
const FIRST_WAIT = 120_000
const LONGEST_WAIT = 6 * 3_600_000
/** The clock is looked at as often as this, in milliseconds: it may have been set, or the machine asleep. */
const LOOK_INTERVAL = 3_600_000
/** Which part of its life a certificate is used before it is renewed. */
const RENEW_AT = 2 / 3

export class AcmeKeeper {
  readonly #options: AcmeOptions
  readonly #folder: string
  readonly #file: string
  #current: ServerCertificate | undefined
  #failures = 0
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(options: AcmeOptions) {
    this.#options = options
    // An authority for tests and the real one do not get in each other's way.
    const digest = createHash('sha256').update(options.directory).digest('hex')
    this.#folder = join(options.folder, 'acme', digest.slice(0, 16))
    this.#file = join(this.#folder, `${options.names[0]}.pem`)
  }

  /** The certificate of before, if it is still good for all names. One that is not is as none. */
  get kept(): ServerCertificate | undefined {
    try {
      const kept = readJoined(this.#file)
      if (kept === undefined) return undefined
      const certificate = new X509Certificate(kept.cert)
      const covers = this.#options.names.every((name) => certificate.checkHost(name) !== undefined)
      return covers ? kept : undefined
    } catch {
      return undefined
    }
  }

  /** Orders and renews from now on. `kept` is taken to be in use. */
  start(): void {
    this.#current = this.kept
    void this.#next()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #next(): Promise<void> {
    const due = this.#current === undefined ? 0 : renewalOf(this.#current)
    const wait = due - Date.now()
    if (wait > 0) {
      this.#wakeIn(Math.min(wait, LOOK_INTERVAL))
      return
    }
    try {
      const certificate = await this.#order()
      this.#failures = 0
      this.#current = certificate
      const until = new Date(new X509Certificate(certificate.cert).validTo)
      if (!this.#stopped) this.#options.observer.obtained(certificate, until)
      // A certificate that is old when it comes is no reason to ask at once for another.
      this.#wakeIn(1_000)
    } catch (error) {
      if (this.#stopped) return
      const { firstWait = FIRST_WAIT } = this.#options
      const longest = Math.min(firstWait * 2 ** this.#failures, LONGEST_WAIT)
      const pause = Math.round(longest * (randomInt(90, 111) / 100))
      this.#failures += 1
      this.#options.observer.failed(error, pause)
      this.#wakeIn(pause)
    }
  }

  #wakeIn(wait: number): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => void this.#next(), wait)
    this.#timer.unref()
  }

  async #order(): Promise<ServerCertificate> {
    const { names, directory, way } = this.#options
    const account = await this.#account()
    const { key, cert } = await orderCertificate({ names, directory, account, way })
    writePrivateFile(this.#file, `${cert.trimEnd()}\n${key}`)
    const certificate = readJoined(this.#file)
    if (certificate === undefined) throw new Error(`'${this.#file}' has gone`)
    return certificate
  }

  /** A file that is no account is as none: another account does no harm. */
  async #account(): Promise<AcmeAccount> {
    const file = join(this.#folder, 'account.json')
    const { directory, email } = this.#options
    const kept = parseAccount(readTextFileIfThere(file, 'account'))
    if (kept !== undefined) return kept
    const made = await createAccount(directory, email)
    writePrivateFile(file, `${JSON.stringify(made, undefined, 2)}\n`)
    return made
  }
}

function parseAccount(text: string | undefined): AcmeAccount | undefined {
  try {
    const { key, url } = JSON.parse(text ?? '{}') as Partial<Record<string, unknown>>
    return typeof key === 'string' && typeof url === 'string' ? { key, url } : undefined
  } catch {
    return undefined
  }
}

/** When it is to be renewed, in milliseconds of the epoch. */
function renewalOf({ cert }: ServerCertificate): number {
  const { validFrom, validTo } = new X509Certificate(cert)
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)]
  return from + (to - from) * RENEW_AT
}
