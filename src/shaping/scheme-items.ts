// The words of the scheme language: the number of `stop`, the index of an entry, its items (D30, D31).
import type { SchemeValue } from './scheme-lines.ts'

/**
 * One item of an entry. `size` is a range of bytes, drawn from [min, max), and exactly `min` when both are
 * equal (D30). `check` is `c`, which ends the Deliver when no data is left (D31).
 */
export type SchemeItem =
  | {
      /** A range of sizes. */
      readonly kind: 'size'
      /** The smallest size, in bytes. */
      readonly min: number
      /** The size that is never reached, in bytes, unless it is `min`. */
      readonly max: number
    }
  | {
      /** Ends the Deliver when no data is left. */
      readonly kind: 'check'
    }

/** The item of a range. */
export type SizeItem = Extract<SchemeItem, { kind: 'size' }>

/** A place in a word, counted from 0, and what is wrong there. */
export interface Fault {
  readonly offset: number
  readonly message: string
}

const CHECK: SchemeItem = Object.freeze({ kind: 'check' })

/** The largest size, in bytes, that can be drawn from a range. */
export function largestSize({ min, max }: SizeItem): number {
  return max > min ? max - 1 : min
}

/** How words are read. */
export interface Words {
  /** What keeps `text` from being a whole number. */
  readonly numberFault: (text: string) => Fault | undefined
  /** The item that a value stands for, or what keeps it from being one. */
  readonly readItem: (value: SchemeValue) => SchemeItem | Fault
}

/** The words of an own scheme: decimal without sign or leading zeros, ranges that run upward. */
export const STRICT_WORDS: Words = { numberFault, readItem }

/**
 * The words of a peer's scheme, read as the original reads them (D30): a number may have a plus sign and
 * leading zeros, and a reversed range means the same as its mirror image.
 */
export const LENIENT_WORDS: Words = {
  numberFault: (text) => (/^\+?[0-9]+$/.test(text) ? undefined : numberFault(text)),
  readItem(value) {
    const [, first, second] = /^\+?([0-9]+)-\+?([0-9]+)$/.exec(value.text) ?? []
    const [min, max] = [Number(first), Number(second)]
    return min > 0 && max > 0
      ? { kind: 'size', min: Math.min(min, max), max: Math.max(min, max) }
      : readItem(value)
  },
}

/** What keeps `text` from being the index of an entry: the original looks up plain decimals alone. */
export function numberFault(text: string): Fault | undefined {
  if (text === '') return { offset: 0, message: 'a number is missing' }
  const other = text.search(/[^0-9]/)
  if (other >= 0) return { offset: other, message: 'a whole number has digits only' }
  if (text.length > 1 && text.startsWith('0')) return { offset: 0, message: LEADING_ZERO }
  return undefined
}

function readItem({ text }: SchemeValue): SchemeItem | Fault {
  if (text === 'c') return CHECK
  const [, first, second] = /^([1-9][0-9]*)-([1-9][0-9]*)$/.exec(text) ?? []
  if (first === undefined || second === undefined) return itemFault(text)
  const [min, max] = [Number(first), Number(second)]
  if (min > max) return { offset: first.length + 1, message: 'the range is reversed' }
  return { kind: 'size', min, max }
}

const LEADING_ZERO = 'a number has no leading zeros'

function itemFault(text: string): Fault {
  if (text.startsWith('c')) return { offset: 1, message: 'the item "c" stands alone' }
  if (text === 'C') return { offset: 0, message: 'the item "c" is a small letter' }
  const first = digitsFrom(text, 0)
  if (first.length === 0) return { offset: 0, message: 'an item is a range such as 100-400, or c' }
  if (first.startsWith('0')) return { offset: 0, message: zeroMessage(first) }
  const dash = first.length
  if (dash === text.length) {
    return { offset: dash, message: 'one number is no range; an exact size is written as 400-400' }
  }
  if (text[dash] !== '-') return { offset: dash, message: 'a range is two numbers joined by "-"' }
  const second = digitsFrom(text, dash + 1)
  if (second.length === 0) return { offset: dash + 1, message: 'the range has no second number' }
  if (second.startsWith('0')) return { offset: dash + 1, message: zeroMessage(second) }
  return { offset: dash + 1 + second.length, message: 'the range goes on behind its second number' }
}

function digitsFrom(text: string, offset: number): string {
  return /^[0-9]*/.exec(text.slice(offset))?.[0] ?? ''
}

function zeroMessage(digits: string): string {
  return digits === '0' ? 'a size is at least 1' : LEADING_ZERO
}
