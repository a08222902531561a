// What options rule out or need among each other: told by a command before it does anything, and of a configuration file.
// Must never look at a file, or repeat a value.

import { invalidOption } from '../errors.ts'
import { formatAdminPlace, isLocal } from '../serve/admin/place.ts'
import type { ClientCommandOptions, ServerCommandOptions } from './options.ts'

/** What does not go together. */
export interface Conflict {
  /** The options in question that are given, as commander calls them. */
  readonly options: readonly string[]
  readonly problem: string
}

type Given = Partial<ServerCommandOptions & ClientCommandOptions>

/** @throws AnyTlsError `ERR_OPTION_INVALID` for the first of them */
export function refuseConflicts(options: Given): void {
  const [conflict] = conflictsOf(options)
  if (conflict !== undefined) throw invalidOption(conflict.problem)
}

/** All that is wrong among the options of a server or a client. */
export function conflictsOf(given: Given): readonly Conflict[] {
  const { acme, admin, insecure, legacy, legacyTls12 } = given
  const found: Conflict[] = []
  const refuse = (problem: string, ...options: readonly (keyof Given)[]): void => {
    found.push({ options: options.filter((name) => given[name] !== undefined), problem })
  }
  const hasOnly = (one: keyof Given, without: keyof Given): boolean =>
    given[one] !== undefined && given[without] === undefined
  const hasBoth = (one: keyof Given, other: keyof Given): boolean =>
    given[one] !== undefined && given[other] !== undefined

  if (hasBoth('password', 'passwordFile')) {
    refuse(
      '-p and --password-file exclude each other: give one of them',
      'password',
      'passwordFile',
    )
  }
  if (acme !== undefined && (hasBoth('acme', 'cert') || hasBoth('acme', 'key'))) {
    refuse('--acme and --cert exclude each other', 'acme', 'cert', 'key')
  } else if (hasOnly('cert', 'key') || hasOnly('key', 'cert')) {
    refuse('--cert and --key are needed together', 'cert', 'key')
  }
  if (hasOnly('acmeHttp', 'acme')) refuse('--acme-http needs --acme', 'acmeHttp')
  if (hasOnly('acmeEmail', 'acme')) refuse('--acme-email needs --acme', 'acmeEmail')
  if (hasOnly('fallbackH2', 'fallback')) {
    refuse('a fallback for h2 needs one for http/1.1 beside it', 'fallbackH2')
  }
  if (hasOnly('fallbackProxyProtocol', 'fallback')) {
    refuse('the PROXY protocol needs a fallback endpoint', 'fallbackProxyProtocol')
  }
  if (legacyTls12 === true && legacy === false) {
    refuse('--legacy-tls12 and --no-legacy exclude each other', 'legacyTls12', 'legacy')
  }
  if (hasOnly('adminTokenFile', 'admin'))
    refuse('--admin-token-file needs --admin', 'adminTokenFile')
  if (admin !== undefined && hasOnly('admin', 'adminTokenFile') && !isLocal(admin)) {
    const place = formatAdminPlace(admin)
    refuse(`--admin ${place}: others can reach it, so it needs --admin-token-file`, 'admin')
  }
  // In commander's words, which says it where they come from the command line.
  if (insecure === true && given.pin !== undefined) {
    refuse("option '--insecure' cannot be used with option '--pin <sha256>'", 'insecure', 'pin')
  }
  if (given.ca !== undefined && (given.pin !== undefined || insecure === true)) {
    const [name, other] =
      given.pin === undefined
        ? (['insecure', '--insecure'] as const)
        : (['pin', '--pin <sha256>'] as const)
    refuse(`option '--ca <file>' cannot be used with option '${other}'`, 'ca', name)
  }
  return found
}
