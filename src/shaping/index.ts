// The public face of `anytls/shaping`: read a padding scheme and shape with it, in any JavaScript runtime.
// Must never hold code of its own.
export { SchemeError } from '../errors.ts'
export { DEFAULT_SCHEME_LIMITS, LANGUAGE_LIMITS, type SchemeLimits } from './limits.ts'
export { type SchemeItem } from './scheme-items.ts'
export {
  DEFAULT_SCHEME,
  DEFAULT_SCHEME_TEXT,
  encodeScheme,
  parsePeerScheme,
  parseScheme,
  type Scheme,
} from './scheme.ts'
export { MemorySchemeStore, type SchemeStore } from './scheme-store.ts'
export { type PaddingFormat, type RandomInt, Shaper } from './shaper.ts'
