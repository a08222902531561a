// Where the programs keep what must outlive them: the certificate and the padding schemes.
// Must never make the folder: whoever writes there does.

import { resolve } from 'node:path'
import envPaths from 'env-paths'

/**
 * The state folder: `override` (`--state-dir`), or the platform's place for a user's data
 * (`$XDG_DATA_HOME/anytls`, `~/.local/share/anytls`, `~/Library/Application Support/anytls`,
 * `%LOCALAPPDATA%\anytls\Data`).
 */
export function stateFolder(override?: string): string {
  return override === undefined ? envPaths('anytls', { suffix: '' }).data : resolve(override)
}
