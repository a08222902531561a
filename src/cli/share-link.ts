// Share links: anytls://[password@]host[:port]/?sni=&insecure=0|1#name, and what is seen in the wild.
// Must never put a part that may hold a password into an error message.

import { isIP } from 'node:net'
import { AnyTlsError } from '../errors.ts'
import { parsePin } from '../tls/secure-socket.ts'
import type { Address } from '../codec/address.ts'
import { formatHostPort, parseHostPort } from '../codec/host-port.ts'

/** What a share link says. */
export interface ShareLink {
  /** Name or IP address, without brackets. */
  readonly host: string
  readonly port: number
  /** Absent when the link has none or an empty one. */
  readonly password?: string
  /** The name to ask for in TLS; an IP address here means that none is sent. */
  readonly sni?: string
  /** The certificate is not to be checked. */
  readonly insecure: boolean
  /** SHA-256 of the DER certificate, 64 lower-case hexadecimal digits (`hpkp`). */
  readonly pin?: string
  /** Application protocols to offer, preferred first. */
  readonly alpn?: readonly string[]
  /** What the link calls itself, for people. Text from outside: escape it before showing it. */
  readonly name?: string
}

const SCHEME = /^anytls:\/\//i
const DEFAULT_PORT = 443
const MAX_LENGTH = 8192

/** Whether a text means to be a share link. */
export function isShareLink(text: string): boolean {
  return SCHEME.test(text)
}

/** Whether TLS can ask for this name, or it is an IP address, which means that no name is sent. */
export function isServerName(text: string): boolean {
  return isIP(text) !== 0 || /^[\w.-]{1,253}$/.test(text)
}

/**
 * Parses a share link in any of its forms. Unknown keys are ignored; of a key that stands there
 * twice the first counts, and the official name (`sni`, `insecure`) before the other one.
 *
 * @throws AnyTlsError `ERR_LINK_INVALID` naming the part that is wrong
 */
export function parseShareLink(text: string): ShareLink {
  if (!isShareLink(text)) throw invalid('it does not begin with anytls://')
  if (text.length > MAX_LENGTH) throw invalid(`it is longer than ${MAX_LENGTH} characters`)
  const [beforeName, name] = splitAtFirst(text.replace(SCHEME, ''), '#')
  const [beforeQuery, query = ''] = splitAtFirst(beforeName, '?')
  const [authority, path = ''] = splitAtFirst(beforeQuery, '/')
  if (path !== '') throw invalid('a path is not allowed (a / in the password is written %2F)')

  const at = authority.lastIndexOf('@')
  const password = at < 0 ? '' : parsePassword(authority.slice(0, at))
  const keys = parseQuery(query)
  const sni = keys.get('sni') || keys.get('peer')
  const pin = keys.get('hpkp')
  const alpn = keys.get('alpn')
  return {
    ...parseServer(authority.slice(at + 1)),
    ...(password !== '' && { password }),
    ...(sni && { sni: parseSni(sni) }),
    insecure: parseInsecure(keys),
    ...(pin && { pin: parseHpkp(pin) }),
    ...(alpn && { alpn: parseAlpn(alpn) }),
    ...(name && { name: decodeName(name) }),
  }
}

/** The link in its official form; `pin` becomes `hpkp`, and what is absent is left out. */
export function formatShareLink(link: ShareLink): string {
  const userinfo = link.password === undefined ? '' : `${encode(link.password)}@`
  const keys = [
    link.sni !== undefined && `sni=${encode(link.sni)}`,
    link.insecure && 'insecure=1',
    link.pin !== undefined && `hpkp=${link.pin}`,
    link.alpn !== undefined && `alpn=${link.alpn.map(encode).join(',')}`,
  ].filter((key) => key !== false)
  const query = keys.length === 0 ? '' : `?${keys.join('&')}`
  const name = link.name === undefined ? '' : `#${encode(link.name)}`
  return `anytls://${userinfo}${formatHostPort(link)}/${query}${name}`
}

/** `user:pass` where pass counts, or the password alone. */
function parsePassword(userinfo: string): string {
  const [first, second] = splitAtFirst(userinfo, ':')
  return decode(second ?? first, 'password')
}

function parseServer(text: string): Address {
  if (text === '') throw invalid('the host is missing')
  let address: Address
  try {
    address = parseHostPort(text, DEFAULT_PORT)
  } catch {
    // Not the text itself: an unescaped @ in a password puts a piece of it here.
    throw invalid('the host or the port is not valid')
  }
  if (address.port === 0) throw invalid('the port is 0')
  return address
}

function parseQuery(query: string): Map<string, string> {
  const keys = new Map<string, string>()
  for (const item of query.split('&')) {
    const [key, value = ''] = splitAtFirst(item, '=')
    if (KNOWN_KEYS.has(key) && !keys.has(key)) keys.set(key, decode(value, key))
  }
  return keys
}

const KNOWN_KEYS = new Set(['sni', 'peer', 'insecure', 'allowInsecure', 'hpkp', 'alpn'])

function parseSni(text: string): string {
  if (!isServerName(text)) throw invalid('sni is not a host name')
  return text
}

function parseInsecure(keys: ReadonlyMap<string, string>): boolean {
  const key = keys.get('insecure') ? 'insecure' : 'allowInsecure'
  switch (keys.get(key)) {
    case '1':
    case 'true':
      return true
    case undefined:
    case '':
    case '0':
    case 'false':
      return false
    default:
      throw invalid(`${key} is neither 0 nor 1`)
  }
}

function parseHpkp(text: string): string {
  try {
    return parsePin(text).toLowerCase()
  } catch {
    throw invalid('hpkp is not a SHA-256 fingerprint (64 hexadecimal digits)')
  }
}

function parseAlpn(text: string): string[] {
  const protocols = text.split(',')
  if (protocols.some((protocol) => !/^[\x21-\x7e]{1,255}$/.test(protocol))) {
    throw invalid('alpn is not a list of protocol names')
  }
  return protocols
}

/** A name is for people alone: one that is badly encoded stays as it came. */
function decodeName(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid(`${part} is not valid percent-encoding`)
  }
}

/** Percent-encoding that a shell needs no quotes for, but for the `&` and `?` of the link itself. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function splitAtFirst(text: string, separator: string): [string, string | undefined] {
  const index = text.indexOf(separator)
  return index < 0
    ? [text, undefined]
    : [text.slice(0, index), text.slice(index + separator.length)]
}

function invalid(problem: string): AnyTlsError {
  return new AnyTlsError('ERR_LINK_INVALID', `the share link is not valid: ${problem}`)
}
