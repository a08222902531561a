// What a request line asks for: an origin in absolute form, or host and port after CONNECT.
// Must never change the path of a request but where bytes that no URL has stand in it.
import type { Address } from '../../codec/address.ts'
import { parseHostPort } from '../../codec/host-port.ts'
import { formatIPv6, parseIPv6 } from '../../codec/ip.ts'
import { toAsciiName } from '../host.ts'
import { unmappedHost } from '../../codec/ip.ts'

/** Where a request in absolute form (RFC 9112 section 3.2.2) goes. */
export interface Origin {
  readonly target: Address
  /** Value of the Host header. */
  readonly host: string
  /** Path and query, never empty. */
  readonly path: string
}

const DEFAULT_PORT = 80

/**
 * Takes `http://host:port/path` apart, the path as it was written; `undefined` for anything else. `ws` is what
 * programs write that upgrade without CONNECT.
 *
 * @param method with OPTIONS, an URL without a path means the origin itself, `*` (RFC 9112 section 3.2.4)
 */
export function parseOrigin(url: string, method = 'GET'): Origin | undefined {
  const match = /^(?:http|ws):\/\/([^/?#]*)([^#]*)/i.exec(url)
  if (match === null) return undefined
  const [, authority = '', rest = ''] = match
  // Userinfo is not for the origin (RFC 9110 section 4.2.4); a colon may stand there without a port (RFC 3986, 3.2.3).
  const host = withAsciiHost(authority.slice(authority.lastIndexOf('@') + 1).replace(/:$/, ''))
  const path = method === 'OPTIONS' && rest === '' ? '*' : rest.startsWith('/') ? rest : `/${rest}`
  try {
    return { target: parseTarget(host, DEFAULT_PORT), host, path }
  } catch {
    return undefined
  }
}

/** `host:port` after CONNECT; an IPv6 address may lack its brackets, for the last colon is that of the port. */
export function parseConnectTarget(authority: string): Address | undefined {
  const [, bare = '', port = ''] = /^([\da-f.:]*:[\da-f.:]*):(\d+)$/i.exec(authority) ?? []
  const ipv6 = parseIPv6(bare)
  const host = ipv6 === undefined ? undefined : formatIPv6(ipv6)
  try {
    return parseTarget(host === undefined ? withAsciiHost(authority) : `[${host}]:${port}`)
  } catch {
    return undefined
  }
}

function parseTarget(authority: string, defaultPort?: number): Address {
  const { host, port } = parseHostPort(authority, defaultPort)
  return { host: unmappedHost(host), port }
}

/** `host[:port]` whose host may be percent-encoded UTF-8 (RFC 3986 section 3.2.2). */
function withAsciiHost(authority: string): string {
  if (!authority.includes('%') || authority.startsWith('[')) return authority
  const [, host = '', port = ''] = /^([^:]*)(.*)$/.exec(authority) ?? []
  try {
    return `${toAsciiName(decodeURIComponent(host)) ?? host}${port}`
  } catch {
    return authority
  }
}

const RAW = /[\x80-\xff]/

/**
 * The bytes of a program with its request line as the parser takes it, where raw bytes beyond ASCII stand in it:
 * those of the host, UTF-8, become its ASCII form, others are percent-encoded. `undefined` when there are none.
 */
export function mendRequestLine(bytes: Buffer): Buffer | undefined {
  const end = bytes.indexOf('\n')
  const line = bytes.toString('latin1', 0, end === -1 ? bytes.length : end)
  if (!RAW.test(line)) return undefined
  const match = /^([A-Z]+ +(?:[a-z]+:\/\/)?(?:[^/?# ]*@)?)([^/?#: ]*)(.*)$/is.exec(line)
  if (match === null) return undefined
  const [, before = '', host = '', after = ''] = match
  const name = toAsciiName(Buffer.from(host, 'latin1').toString('utf8')) ?? host
  const mended = `${before}${name}${after}`.replace(
    new RegExp(RAW, 'g'),
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return Buffer.concat([Buffer.from(mended, 'latin1'), bytes.subarray(line.length)])
}
