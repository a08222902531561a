// `anytls link`: prints the share link of a server in its standard form, and its QR code on request.
// Must never print anything but the link on standard output: others read it there.

import { readFileSync } from 'node:fs'
import { renderUnicodeCompact } from 'uqr'
import { AnyTlsError } from '../errors.ts'
import type { LinkCommandOptions } from './options.ts'
import { parseServer } from './options.ts'
import { PASSWORD_VARIABLE, resolvePassword } from './password.ts'
import { formatShareLink } from './share-link.ts'
import type { ShareLink } from './share-link.ts'

/** Most bytes that are read of a link on standard input. */
const MAX_INPUT = 16_384

/**
 * Prints the link. Options say it before the link does.
 *
 * @throws AnyTlsError `ERR_LINK_INVALID`, `ERR_OPTION_INVALID`, `ERR_FILE`
 */
export function runLink(server: string, options: LinkCommandOptions): void {
  const given = parseServer(server === '-' ? readLine() : server)
  const { sni, pin, insecure, name } = options
  const password = resolvePassword({
    option: options.password,
    file: options.passwordFile,
    link: given.password,
    environment: process.env[PASSWORD_VARIABLE],
  })
  const link: ShareLink = {
    ...given,
    password,
    ...(sni !== undefined && { sni }),
    ...(pin !== undefined && { pin: pin.toLowerCase(), insecure: false }),
    ...(name !== undefined && { name }),
    ...(insecure === true && { insecure }),
  }
  const text = formatShareLink(link)
  if (options.qr === true) process.stderr.write(`${renderUnicodeCompact(text)}\n`)
  process.stdout.write(`${text}\n`)
}

function readLine(): string {
  let text: string
  try {
    text = readFileSync(0, 'utf8')
  } catch (cause) {
    throw new AnyTlsError('ERR_FILE', 'standard input cannot be read', { cause })
  }
  if (text.length > MAX_INPUT) {
    throw new AnyTlsError('ERR_LINK_INVALID', 'the share link is not valid: it is too long')
  }
  return text.trim()
}
