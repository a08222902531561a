// Share links: anytls://[password@]host[:port]/?sni=&insecure=0|1#name, and what is seen in the wild.
// Must never put a part that may hold a password into an error message.

import { isIP } from 'node:net'
import { AnyTlsError } from '../errors.ts'
import { parsePin } from '../tls/secure-socket.ts'
import type { Address } from '../codec/address.ts'
import { formatHostPort, parseHostPort } from '../codec/host-port.ts'
import { toAsciiName } from '../proxy/host.ts'

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
  /** Which keys of the link change nothing here, in words. */
  readonly ignored?: string
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
 * Parses a share link in any of its forms. Keys that change nothing here are named in `ignored`; what asks for
 * something that we cannot do is refused, for another server would be met than the link means. Of a key that stands
 * there twice the first counts, and the official name (`sni`, `insecure`, `hpkp`) before the others.
 *
 * @throws AnyTlsError `ERR_LINK_INVALID` naming the part that is wrong
 */
export function parseShareLink(text: string): ShareLink {
  if (!isShareLink(text)) throw invalid('it does not begin with anytls://')
  if (text.length > MAX_LENGTH) throw invalid(`it is longer than ${MAX_LENGTH} characters`)
  const [beforeName, name] = splitAtFirst(text.replace(SCHEME, ''), '#')
  const [beforeQuery, query = ''] = splitAtFirst(beforeName, '?')
  const [authority, path = ''] = splitAtFirst(beforeQuery, '/')
  if (!authority.includes('@')) refuseSplitPassword(query, name)
  refusePacked(authority)
  if (path !== '') throw invalid('a path is not allowed (a / in the password is written %2F)')

  const at = authority.lastIndexOf('@')
  const password = at < 0 ? '' : parsePassword(authority.slice(0, at))
  const keys = parseQuery(query)
  refuseWhatWeCannotDo(keys)
  const sni = first(keys, SNI_KEYS)
  const pin = first(keys, PIN_KEYS)
  const alpn = keys.get('alpn')
  const ignored = describeIgnored([...keys.keys()])
  return {
    ...parseServer(authority.slice(at + 1)),
    ...(password !== '' && { password }),
    ...(sni && { sni: parseSni(sni) }),
    insecure: parseInsecure(keys),
    ...(pin && { pin: parseHpkp(pin) }),
    ...(alpn && { alpn: parseAlpn(alpn) }),
    ...(name && { name: decodeName(name) }),
    ...(ignored && { ignored }),
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

/** A # or ? in a password that is not escaped makes its beginning the host, which would be asked for by name. */
function refuseSplitPassword(query: string, name = ''): void {
  const [sign, escaped] = query.includes('@') ? ['?', '%3F'] : ['#', '%23']
  if (!query.includes('@') && !name.includes('@')) return
  throw invalid(`an @ stands behind a ${sign} (a ${sign} in the password is written ${escaped})`)
}

/** Some programs pack `password@host:port`: as a name it would be looked up, password and all. */
function refusePacked(authority: string): void {
  if (!/^[\w+-]{8,}={0,2}$/.test(authority)) return
  const unpacked = Buffer.from(authority, 'base64').toString('latin1')
  if (!/^[\x21-\x7e]*@[\x21-\x7e]+$/.test(unpacked)) return
  throw invalid('what follows anytls:// is base64: decode it (base64 -d)')
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
    address = parseHostPort(asciiAuthority(text), DEFAULT_PORT)
  } catch {
    // Not the text itself: an unescaped @ in a password puts a piece of it here.
    throw invalid('the host or the port is not valid')
  }
  if (address.port === 0) throw invalid('the port is 0')
  return address
}

/** `host[:port]`, an international name in its ASCII form. */
export function asciiAuthority(text: string): string {
  if (text.startsWith('[')) return text
  const [host, port] = splitAtFirst(text, ':')
  const decoded = host.includes('%') ? decode(host, 'the host') : host
  return `${toAsciiName(decoded) ?? host}${port === undefined ? '' : `:${port}`}`
}

/** Values by key as {@link canonical} has it. Pages that links are copied from may have escaped the `&`. */
function parseQuery(query: string): Map<string, string> {
  const keys = new Map<string, string>()
  for (const item of query.replaceAll('&amp;', '&').split('&')) {
    const [written, value = ''] = splitAtFirst(item, '=')
    const key = canonical(written)
    // What mihomo calls the pin is the name of a browser elsewhere.
    const meant = key === 'fingerprint' && isPin(value) ? 'pin' : key
    if (meant === '' || keys.has(meant)) continue
    const weighty = WEIGHTY_KEYS.get(meant)
    keys.set(meant, weighty === undefined ? value : decode(value, weighty))
  }
  return keys
}

/** Programs write one key as `allowInsecure`, `allow_insecure` and `Allow-Insecure`. */
function canonical(key: string): string {
  return key.toLowerCase().replace(/[-_]/g, '')
}

const SNI_KEYS = ['sni', 'peer', 'serverName']
const INSECURE_KEYS = ['insecure', 'allowInsecure', 'skip-cert-verify']
const PIN_KEYS = ['hpkp', 'pinSHA256', 'pin', 'pcs']

/** Keys that ask for what we cannot do, but with the values that say so: what it is, and those values. */
const DEMANDS: readonly (readonly [
  what: string,
  keys: readonly string[],
  harmless: readonly string[],
])[] = [
  ['security other than TLS', ['security', 'tls'], ['tls', '1', 'true']],
  ['a transport other than TCP', ['type', 'net', 'network', 'transport'], ['tcp', 'raw']],
  ['REALITY', ['pbk', 'sid', 'spx', 'pqv', 'reality', 'publicKey', 'shortId'], ['0', 'false']],
  ['a flow of another protocol', ['flow', 'xtls'], ['none', '0']],
  ['an encryption of another protocol', ['encryption'], ['none']],
  ['an obfuscation', ['obfs', 'plugin', 'headerType', 'fm'], ['none']],
  ['encrypted client hello', ['ech', 'echConfig', 'echConfigList'], ['0', 'false']],
  ['a pinned public key', ['certificate_public_key_sha256', 'pinnedPublicKey'], []],
]

/** What changes nothing for the wire, as far as it is known: only these are ever repeated. */
const HARMLESS_KEYS = [
  ...['fp', 'fingerprint', 'client-fingerprint', 'udp', 'tfo', 'fast-open', 'mptcp', 'mux'],
  ...['remarks', 'group', 'host', 'path', 'up', 'down'],
  ...['idle_session_check_interval', 'idle_session_timeout', 'min_idle_session'],
]

const WEIGHTY_KEYS: ReadonlyMap<string, string> = new Map(
  [
    ...[...SNI_KEYS, ...INSECURE_KEYS, ...PIN_KEYS, 'alpn'],
    ...DEMANDS.flatMap(([, keys]) => keys),
  ].map((key) => [canonical(key), key]),
)

function refuseWhatWeCannotDo(keys: ReadonlyMap<string, string>): void {
  for (const [what, names, harmless] of DEMANDS) {
    const name = names.find((candidate) => {
      const value = keys.get(canonical(candidate))?.toLowerCase() ?? ''
      return value !== '' && !harmless.includes(value)
    })
    if (name !== undefined) throw invalid(`${name} asks for ${what}, which anytls cannot do`)
  }
}

function describeIgnored(keys: readonly string[]): string | undefined {
  const ignored = keys.filter((key) => !WEIGHTY_KEYS.has(key))
  const known = HARMLESS_KEYS.filter((key) => ignored.includes(canonical(key)))
  const unknown = ignored.length - known.length
  const parts = [
    ...known,
    ...(unknown > 0 ? [`${unknown} that ${unknown > 1 ? 'are' : 'is'} not known`] : []),
  ]
  return parts.length === 0 ? undefined : parts.join(', ')
}

/** The value of the first of some keys that has one. */
function first(keys: ReadonlyMap<string, string>, names: readonly string[]): string | undefined {
  return names.map((name) => keys.get(canonical(name))).find((value) => value)
}

function parseSni(text: string): string {
  const name = toAsciiName(text)
  if (name === undefined || !isServerName(name)) throw invalid('sni is not a host name')
  return name
}

function parseInsecure(keys: ReadonlyMap<string, string>): boolean {
  const key = INSECURE_KEYS.find((name) => keys.get(canonical(name))) ?? 'insecure'
  switch (keys.get(canonical(key))?.toLowerCase()) {
    case '1':
    case 'true':
    case 'yes':
    case 'on':
      return true
    case undefined:
    case '':
    case '0':
    case 'false':
    case 'no':
    case 'off':
      return false
    default:
      throw invalid(`${key} is neither 0 nor 1`)
  }
}

function isPin(text: string): boolean {
  try {
    return parsePin(text) !== ''
  } catch {
    return false
  }
}

function parseHpkp(text: string): string {
  try {
    return parsePin(text).toLowerCase()
  } catch {
    throw invalid('hpkp (pinSHA256) is not a SHA-256 fingerprint of 64 hexadecimal digits')
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
