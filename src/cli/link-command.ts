// `anytls link`: prints the share link of a server in its standard form or that of another program, and its QR code.
// Must never print anything but the link on standard output: others read it there.

import { readFileSync } from 'node:fs'
import { renderUnicodeCompact } from 'uqr'
import { AnyTlsError, invalidOption } from '../errors.ts'
import { readHandedOn } from '../serve/certificate.ts'
import { fileError, readTextFile } from '../serve/files.ts'
import { recogniseForeign } from './foreign-config.ts'
import { certificatePin, formatLink } from '../serve/link-formats.ts'
import type { LinkCommandOptions } from './options.ts'
import { parseServerAt } from './options.ts'
import { PASSWORD_VARIABLE, resolvePassword } from './password.ts'
import type { ShareLink } from '../serve/share-link.ts'
import { stateFolder } from './state-folder.ts'

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
  const certificate = readLinkCertificate(options, pin ?? given.pin)
  const { ignored, ...kept } = given
  const link: ShareLink = {
    ...kept,
    password,
    ...(sni !== undefined && { sni }),
    ...(pin !== undefined && { pin: pin.toLowerCase(), insecure: false }),
    ...(options.cert !== undefined &&
      certificate !== undefined && { pin: certificatePin(certificate) }),
    ...(name !== undefined && { name }),
    ...(insecure === true && { insecure }),
  }
  const text = formatLink(link, options.format, certificate)
  if (options.qr === true) process.stderr.write(`${drawCode(text)}\n`)
  if (ignored !== undefined) {
    process.stderr.write(`anytls: keys of the link that change nothing are left out: ${ignored}\n`)
  }
  process.stdout.write(`${text}\n`)
}

/**
 * The certificate of the server: what `--cert` names, or that of the state folder where it is the pinned one.
 *
 * @throws AnyTlsError `ERR_FILE`, `ERR_OPTION_INVALID` when `--cert` names another one than is pinned
 */
function readLinkCertificate(options: LinkCommandOptions, pin = ''): string | undefined {
  const { cert } = options
  const text =
    cert === undefined
      ? readHandedOn(stateFolder(options.stateDir))
      : readTextFile(cert, 'certificate file')
  if (text === undefined) return undefined
  let found: string
  try {
    found = certificatePin(text)
  } catch (cause) {
    if (cert === undefined) return undefined
    throw fileError(`certificate file '${cert}' holds no certificate`, cause)
  }
  if (found === pin.toLowerCase() || (cert !== undefined && pin === '')) return text
  if (cert === undefined) return undefined
  throw invalidOption(`--cert: '${cert}' is not the certificate that is pinned`)
}

function readLine(): string {
  let text: string
  try {
    text = readFileSync(0, 'utf8')
  } catch (cause) {
    throw fileError(`${INPUT} cannot be read`, cause)
  }
  const foreign = recogniseForeign(text)
  if (foreign !== undefined && !/^\s*anytls:/i.test(text)) {
    throw invalidOption(`${INPUT}: ${foreign}`)
  }
  if (text.length > MAX_INPUT) {
    throw new AnyTlsError('ERR_LINK_INVALID', 'the share link is not valid: it is too long')
  }
  const line = text.trim()
  if (/[\r\n]/.test(line)) {
    throw invalidOption(`${INPUT}: there is more than one line`)
  }
  return line
}

function drawCode(text: string): string {
  try {
    return renderUnicodeCompact(text)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    const problem = `--qr: a link of ${text.length} characters is too long for a QR code`
    throw invalidOption(problem, { cause })
  }
}
