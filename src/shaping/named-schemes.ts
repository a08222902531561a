// Schemes that have a name, and what each has come to in the study (docs/study.md).
// Must never change one that was released: who names it relies on what it does. A better one gets a name of its own.
import { DEFAULT_SCHEME, parseScheme } from './scheme.ts'
import type { Scheme } from './scheme.ts'

/** A scheme for each direction. */
export interface NamedScheme {
  /** What clients send. */
  readonly up: Scheme
  /** What the server sends, where that is shaped. */
  readonly down: Scheme
}

/**
 * What `builtin:` is followed by.
 *
 * - `default`: the scheme of the draft, which every client begins with;
 * - `flights`: pads what may carry the three flights of a TLS handshake within, and little else.
 */
export type SchemeName = 'default' | 'flights'

/** The schemes that have a name. */
export const NAMED_SCHEMES: Readonly<Record<SchemeName, NamedScheme>> = Object.freeze({
  default: { up: DEFAULT_SCHEME, down: DEFAULT_SCHEME },
  flights: {
    up: parseScheme('stop=5\n0=30-60\n1=60-300\n2=2100-2800\n3=700-1200\n4=300-900'),
    down: parseScheme('stop=4\n1=100-600\n2=4000-7000\n3=300-3000'),
  },
})
