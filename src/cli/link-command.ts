// `anytls link`: prints the share link of a server in its standard form, and its QR code on request.
// Must never print anything but the link on standard output: others read it there.

import { readFileSync } from 'node:fs'
import { renderUnicodeCompact } from 'uqr'
import { AnyTlsError } from '../errors.ts'
import type { LinkCommandOptions } from './options.ts'
import { parseServerAt } from './options.ts'
import { PASSWORD_VARIABLE, resolvePassword } from './password.ts'
import { formatShareLink } from './share-link.ts'
import type { ShareLink } from './share-link.ts'

/** Most bytes that are read of a link on standard input. */
const MAX_INPUT = 16_384

const INPUT = 'standard input'

/**
 * Prints the link. Options say it before the link does.
 *
 * @throws AnyTlsError `ERR_LINK_INVALID`, `ERR_OPTION_INVALID`, `ERR_FILE`; nothing has been printed then
 */
export function runLink(server: string, options: LinkCommandOptions): void {
  const given =
    server === '-' ? parseServerAt(INPUT, readLine()) : parseServerAt('<server>', server)
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
  if (options.qr === true) process.stderr.write(`${drawCode(text)}\n`)
  process.stdout.write(`${text}\n`)
}

function readLine(): string {
  let text: string
  try {
    text = readFileSync(0, 'utf8')
  } catch (cause) {
    throw new AnyTlsError('ERR_FILE', `${INPUT} cannot be read`, { cause })
  }
  if (text.length > MAX_INPUT) {
    throw new AnyTlsError('ERR_LINK_INVALID', 'the share link is not valid: it is too long')
  }
  const line = text.trim()
  if (/[\r\n]/.test(line)) {
    throw new AnyTlsError('ERR_OPTION_INVALID', `${INPUT}: there is more than one line`)
  }
  return line
}

function drawCode(text: string): string {
  try {
    return renderUnicodeCompact(text)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    const problem = `--qr: a link of ${text.length} characters is too long for a QR code`
    throw new AnyTlsError('ERR_OPTION_INVALID', problem, { cause })
  }
}
