// What the two settings frames say: lines `key=value` joined by LF, in any order, with a final LF or not.
// Must never throw: whatever a peer says there, it means at least version 1.
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { cleanText } from './peer-text.ts'

/** The version that we speak. */
export const VERSION = 2

/** The client's settings. */
export interface ClientSettings {
  /** `v`; 1 where it is missing or no number. */
  readonly version: number
  /** `client`, `name/version`; possibly empty, and printable ASCII. */
  readonly client: string
  /** `padding-md5`: the digest of its padding scheme, lower-case hex (D24); possibly empty. */
  readonly schemeDigest: string
}

export function encodeClientSettingsText(client: string, schemeDigest: string): Uint8Array {
  return utf8ToBytes(`v=${VERSION}\nclient=${client}\npadding-md5=${schemeDigest}`)
}

export function decodeClientSettings(body: Uint8Array): ClientSettings {
  const lines = readLines(body)
  return {
    version: parseVersion(lines),
    client: cleanText(lines.get('client') ?? ''),
    schemeDigest: (lines.get('padding-md5') ?? '').toLowerCase(),
  }
}

export function encodeServerSettingsText(): Uint8Array {
  return utf8ToBytes(`v=${VERSION}`)
}

/** The version in the server's settings: 1 where it is missing or no number. */
export function decodeServerSettings(body: Uint8Array): number {
  return parseVersion(readLines(body))
}

function parseVersion(lines: ReadonlyMap<string, string>): number {
  const text = lines.get('v') ?? ''
  return /^\d{1,9}$/.test(text) ? Number(text) : 1
}

/** As the reference reads them: lines without `=` count for nothing, of two with one key the last counts. */
function readLines(body: Uint8Array): Map<string, string> {
  const lines = new Map<string, string>()
  for (const line of new TextDecoder().decode(body).split('\n')) {
    const at = line.indexOf('=')
    if (at >= 0) lines.set(line.slice(0, at), line.slice(at + 1))
  }
  return lines
}
