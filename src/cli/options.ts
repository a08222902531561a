// What the commands take, and how each option is read. Errors here name the option and say what is wrong.
// Must never put a share link, which holds a password, into an error message.

import { availableParallelism, networkInterfaces } from 'node:os'
import { InvalidArgumentError } from 'commander'
import type { Option } from 'commander'
import { AnyTlsError, invalidOption } from '../errors.ts'
import type { FallbackEndpoint } from '../fallback/fallback-endpoint.ts'
import { parseHostPort } from '../codec/host-port.ts'
import { parseNetwork } from '../codec/network.ts'
import type { Address } from '../codec/address.ts'
import type { BypassRule } from '../proxy/bypass.ts'
import { toAsciiName } from '../proxy/host.ts'
import type { AdminPlace } from '../serve/admin/place.ts'
import type { Block } from '../serve/targets.ts'
import { recogniseForeign } from './foreign-config.ts'
import type { LinkFormat } from '../serve/link-formats.ts'
import { asciiAuthority, isServerName, isShareLink, parseShareLink } from '../serve/share-link.ts'
import type { ShareLink } from '../serve/share-link.ts'

/** What `--log-level` takes, from the most to the least talkative. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** What `--log-format` takes. */
export const LOG_FORMATS = ['text', 'json'] as const
export type LogFormat = (typeof LOG_FORMATS)[number]

/** What both commands take. */
interface CommonOptions {
  readonly listen: Address
  readonly password?: string
  readonly passwordFile?: string
  readonly stateDir?: string
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
}

/** Where users are kept, besides the option: for a place with a password in it. */
export const USERS_VARIABLE = 'ANYTLS_USERS'

/** Where a server listens that is told nothing else. */
export const DEFAULT_LISTEN: Address = Object.freeze({ host: '127.0.0.1', port: 8443 })

export interface ServerCommandOptions extends Omit<CommonOptions, 'listen'> {
  /** Where not given, a panel may say it. */
  readonly listen?: Address
  /** What nobody reaches through the server. */
  readonly block?: readonly Block[]
  /** Where users are kept. */
  readonly users?: string
  readonly cert?: string
  readonly key?: string
  readonly fallback?: FallbackEndpoint
  readonly fallbackH2?: FallbackEndpoint
  readonly fallbackProxyProtocol?: 'v1' | 'v2'
  /** Names that an authority is asked to certify. */
  readonly acme?: readonly string[]
  readonly acmeEmail?: string
  readonly acmeDirectory: string
  /** Where the authority's HTTP requests come in. */
  readonly acmeHttp?: Address
  /** Networks of balancers in front. */
  readonly acceptProxyProtocol?: readonly string[]
  readonly onViolation: 'alert' | 'redirect'
  readonly paddingScheme?: string
  /** `true` without a file. */
  readonly shapeDownlink?: boolean | string
  /** `--no-legacy` makes it false. */
  readonly legacy: boolean
  /** How long what is open may go on once the server is told to stop, in milliseconds. */
  readonly drainTime: number
  readonly legacyTls12?: boolean
  /** `--no-link` makes it false. */
  readonly link: boolean
  /** The file that some of them are from. */
  readonly config?: string
  /** Where clients reach the server; port 0 for the one that it listens on. */
  readonly publicHost?: Address
  /** How many processes serve beside the one that runs them; one serves alone without. */
  readonly workers?: number
  readonly admin?: AdminPlace
  readonly adminTokenFile?: string
}

export interface ClientCommandOptions extends CommonOptions {
  readonly server: readonly ShareLink[]
  readonly sni?: string
  readonly insecure?: boolean
  readonly pin?: string
  readonly wire: 'auto' | 'v1' | 'legacy'
  readonly minIdle: number
  /** Until the server has sent its own. */
  readonly paddingScheme?: string
  /** Milliseconds; `Infinity` for `exact`. */
  readonly replyWait: number
  readonly proxyAuthFile?: string
  readonly bypass?: readonly BypassRule[]
  /** File with the certificates to trust. */
  readonly ca?: string
}

export interface LinkCommandOptions {
  readonly password?: string
  readonly passwordFile?: string
  readonly sni?: string
  readonly insecure?: boolean
  readonly pin?: string
  /** What the link calls itself. */
  readonly name?: string
  readonly qr?: boolean
  readonly format: LinkFormat
  /** File with the certificate of the server. */
  readonly cert?: string
  readonly stateDir?: string
}

/** Longest time to drain, in seconds. */
const MAX_DRAIN_TIME = 86_400

/** Most processes of a server. */
const MAX_WORKERS = 256

/** Most sessions that may be kept idle. */
const MAX_MIN_IDLE = 64

/** Longest wait for the server's answer, in ms: the server has given a stream up by then. */
const MAX_REPLY_WAIT = 10_000

/** Makes a reader of text fit for commander, which then puts option and text before the problem. */
export function argument<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text)
    } catch (error) {
      if (error instanceof AnyTlsError) throw new InvalidArgumentError(error.message)
      throw error
    }
  }
}

/** Makes a reader of one value one of an option that may be given several times. */
export function list<T>(parse: (text: string) => T): (text: string, before?: readonly T[]) => T[] {
  const parseNext = (text: string, before: readonly T[] = []): T[] => [...before, parse(text)]
  lists.add(parseNext)
  return parseNext
}

const lists = new WeakSet<object>()

/** Whether an option may be given several times. */
export function isList({ variadic, parseArg }: Option): boolean {
  return variadic || (parseArg !== undefined && lists.has(parseArg))
}

/** `-l`: a port alone, `443` or `:443`, means every address of this machine. */
export function parseListen(text: string): Address {
  const [, port] = /^:?(\d+)$/.exec(text) ?? []
  return parseHostPort(port === undefined ? asciiAuthority(text) : `${everyAddress()}:${port}`)
}

/** Listening there takes IPv4 too, where the system has IPv6 at all. */
function everyAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((ones) => ones ?? [])
  return addresses.some(({ family }) => family === 'IPv6') ? '[::]' : '0.0.0.0'
}

/** `-s`. */
export function parseServer(text: string): ShareLink {
  return parseServerAt('-s, --server', text)
}

/**
 * A share link, or an address that becomes one which says no more, also in the quotes that a shell or a page has left
 * around it. `place` is what the user calls it.
 */
export function parseServerAt(place: string, quoted: string): ShareLink {
  const text = quoted.trim().replace(/^["'`<\u2018\u201c](.*)["'`>\u2019\u201d]$/s, '$1')
  if (isShareLink(text)) return parseShareLink(text)
  const foreign = recogniseForeign(text)
  if (foreign !== undefined) throw invalidOption(`${place}: ${foreign}`)
  if (text.includes('@')) throw invalidOption(`${place}: a share link begins with anytls://`)
  const { host, port } = parseAddressQuietly(place, text)
  if (port === 0) throw invalidOption(`${place}: a server cannot have port 0`)
  return { host, port, insecure: false }
}

/** Repeats nothing of the text: it may be a password in the wrong place, or a piece of a link. */
function parseAddressQuietly(place: string, text: string): Address {
  try {
    return parseHostPort(asciiAuthority(text))
  } catch (error) {
    if (!(error instanceof AnyTlsError)) throw error
    throw invalidOption(`${place}: ${error.message.replace(/^.* is not an address: /s, '')}`)
  }
}

/** `--users`. An empty variable is none. */
export function parsePlace(text: string): string | undefined {
  return text === '' ? undefined : text
}

/** `--public-host`: with port 0 where none is given. */
export function parsePublicHost(text: string): Address {
  return parseHostPort(asciiAuthority(text), 0)
}

/** `--block`, which may be repeated. */
export function addBlock(text: string, before: readonly Block[] = []): readonly Block[] {
  if (text === 'private') return [...before, text]
  return [...before, argument(parseNetwork)(text)]
}

/** For an option that takes several networks. */
export const addNetwork = (text: string, others: readonly string[] = []): readonly string[] => {
  argument(parseNetwork)(text)
  return [...others, text]
}

/** `--sni`. */
export function parseServerName(text: string): string {
  const name = toAsciiName(text)
  if (name === undefined || !isServerName(name)) throw invalidOption('It is not a host name.')
  return name
}

/** `--acme`: one name more. An authority certifies no wildcards by these challenges, and no addresses. */
export const addAcmeName = (text: string, others: readonly string[] = []): readonly string[] => [
  ...others,
  argument(parseServerName)(text).toLowerCase(),
]

/** `--acme-directory`. */
export function parseDirectory(text: string): string {
  if (!URL.canParse(text) || new URL(text).protocol !== 'https:')
    throw invalidOption('It is no https URL.')
  return new URL(text).href
}

/** `--drain-time`: seconds; gives milliseconds. */
export function parseDrainTime(text: string): number {
  const seconds = /^\d{1,5}$/.test(text) ? Number(text) : Infinity
  if (seconds > MAX_DRAIN_TIME)
    throw invalidOption(`It is not a number from 0 to ${MAX_DRAIN_TIME}.`)
  return seconds * 1_000
}

/** `--workers`: a number, or one for each core. */
export function parseWorkers(text: string): number {
  if (text === 'auto') return Math.min(availableParallelism(), MAX_WORKERS)
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (number >= 1 && number <= MAX_WORKERS) return number
  throw invalidOption(`It is neither auto nor a number from 1 to ${MAX_WORKERS}.`)
}

/** `--min-idle`. */
export function parseMinIdle(text: string): number {
  const number = /^\d{1,3}$/.test(text) ? Number(text) : Infinity
  if (number > MAX_MIN_IDLE) throw invalidOption(`It is not a number from 0 to ${MAX_MIN_IDLE}.`)
  return number
}

/** `--reply-wait`. */
export function parseReplyWait(text: string): number {
  if (text === 'exact') return Infinity
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Infinity
  if (number > MAX_REPLY_WAIT) {
    throw invalidOption(
      `It is neither exact nor a number of milliseconds from 0 to ${MAX_REPLY_WAIT}.`,
    )
  }
  return number
}
