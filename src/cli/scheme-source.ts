// The schemes that options name: files, and `builtin:NAME`.
import { SchemeError, invalidOption } from '../errors.ts'
import { fileError, readTextFile } from '../serve/files.ts'
import { NAMED_SCHEMES } from '../shaping/named-schemes.ts'
import type { NamedScheme, SchemeName } from '../shaping/named-schemes.ts'
import { parseScheme } from '../shaping/scheme.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { nearestKey } from './config-options.ts'
import { escapeControls } from './printable.ts'

const PREFIX = 'builtin:'
const NAMES = Object.keys(NAMED_SCHEMES) as SchemeName[]

/**
 * A scheme by its name, for either direction; `undefined` for what is no name but a file.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for a name that is not known
 */
export function namedScheme(place: string): NamedScheme | undefined {
  if (!place.startsWith(PREFIX)) return undefined
  const name = place.slice(PREFIX.length)
  if (Object.hasOwn(NAMED_SCHEMES, name)) return NAMED_SCHEMES[name as SchemeName]
  const near = nearestKey(name, NAMES)
  const known = NAMES.map((one) => PREFIX + one).join(', ')
  const hint = near === undefined ? `known: ${known}` : `did you mean ${PREFIX}${near}?`
  const shown = escapeControls(place.slice(0, 60))
  throw invalidOption(`padding scheme '${shown}' is not known (${hint})`)
}

/**
 * The scheme of a file, or of a name for one direction.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for a name that is not known, `ERR_FILE` for a file that cannot be used:
 * one line with its name and, where there is one, the line
 */
export function readPaddingScheme(place: string, direction: keyof NamedScheme): Scheme {
  const named = namedScheme(place)
  if (named !== undefined) return named[direction]
  const text = readTextFile(place, 'padding scheme')
  try {
    return parseScheme(text)
  } catch (cause) {
    if (!(cause instanceof SchemeError)) throw cause
    throw fileError(`padding scheme '${place}': ${cause.message}`)
  }
}
