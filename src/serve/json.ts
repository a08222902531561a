// What JSON that somebody else wrote turns out to be.
import { invalidOption } from '../errors.ts'

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A whole number, 0 or more, that is exact. */
export function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` */
export function requireString(value: unknown): string {
  if (typeof value === 'string') return value
  throw invalidOption('it is not a string')
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` */
export function requireBoolean(value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw invalidOption('it is neither true nor false')
}
