// Where a secret of the command line comes from: the option, a file or the environment.
// Must never put a secret in an error message.

import { invalidOption } from '../errors.ts'
import { readSecretFile } from '../serve/files.ts'

/** Where the password of the server stands, besides the options. */
export const PASSWORD_VARIABLE = 'ANYTLS_PASSWORD'

/** The ways to name the password, in the order in which they count. */
export interface PasswordSources {
  /** `-p`: shows in the process list. */
  readonly option?: string | undefined
  /** `--password-file`. */
  readonly file?: string | undefined
  /** From a share link. */
  readonly link?: string | undefined
  /** The value of {@link PASSWORD_VARIABLE}. */
  readonly environment?: string | undefined
}

/**
 * The password: the option or the file, else the link's, else the environment's.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` when both or none are there or it is empty;
 *   `ERR_FILE` when the file cannot be used
 */
export function resolvePassword(sources: PasswordSources): string {
  const password = findPassword(sources)
  if (password !== undefined) return password
  throw invalidOption(
    `a password is needed: ${PASSWORD_VARIABLE} in the environment, --password-file or -p`,
  )
}

/** As {@link resolvePassword}, but `undefined` where there is none. */
export function findPassword(sources: PasswordSources): string | undefined {
  const { option, file } = sources
  if (option !== undefined && file !== undefined) {
    throw invalidOption('-p and --password-file exclude each other: give one of them')
  }
  if (option === '') throw invalidOption('the password of -p is empty')
  if (option !== undefined) return option
  if (file !== undefined) return readSecretFile(file, 'password file')
  // An empty variable, and a link without a password, are the same as none.
  return [sources.link, sources.environment].find((text) => text)
}
