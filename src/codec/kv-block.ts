// The KV data block (draft, Appendix A): lines of `key=value,value` in printable ASCII.
// Must never emit a block that the decoder rejects.
import { BlockError } from '../errors.ts'
import { asciiText, characterError, LF, textBytes } from './block-bytes.ts'

/** Keys with their values, both as they stand in the block and in its order. No list is empty. */
export type KvBlock = ReadonlyMap<string, readonly string[]>

const CR = 0x0d
const SPACE = 0x20
const COMMA = 0x2c
const EQUALS = 0x3d

/**
 * Decodes a KV block in one pass. Work and memory are in proportion to `bytes.length`, which the caller
 * caps (D10). The first broken rule is reported, with the offset of the byte named here:
 *
 * | rule | offset |
 * |---|---|
 * | `kv-empty-block` (the draft wants one or more lines) | 0 |
 * | `kv-empty-line` | its LF |
 * | `kv-missing-equals` | the LF that ends the line |
 * | `kv-missing-lf` (every line is terminated, the last one too) | the end of the block |
 * | `kv-empty-key` | the `=` |
 * | `kv-comma-in-key` | the comma |
 * | `kv-duplicate-key` (keys are case-sensitive) | the first byte of the second key |
 * | `kv-empty-value` (none, or a leading, doubled or trailing comma) | the comma or LF in its place |
 * | `kv-space`, `kv-cr`, `kv-control` | the character |
 * | `kv-bom` (EF BB BF anywhere), `kv-multibyte`, `kv-invalid-utf8` | the first byte of the sequence |
 *
 * A block that ends inside a line is `kv-missing-lf`, whatever else that line lacks.
 *
 * @throws BlockError (`ERR_BLOCK_INVALID`) as above
 */
export function decodeKvBlock(bytes: Uint8Array): KvBlock {
  if (bytes.length === 0) throw emptyBlock()
  const entries = new Map<string, string[]>()
  let values: string[] | undefined // of the line being read; undefined inside its key
  let start = 0 // of the key or value being read
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at]
    if (values === undefined) {
      if (byte === EQUALS) {
        if (at === start) throw emptyKey(at)
        const key = asciiText(bytes.subarray(start, at))
        if (entries.has(key)) throw duplicateKey(start)
        values = []
        entries.set(key, values)
        start = at + 1
      } else if (byte === COMMA) {
        throw comma('key', at)
      } else if (byte === LF) {
        throw at === start ? emptyLine(at) : missingEquals(at)
      } else {
        checkCharacter(bytes, at)
      }
    } else if (byte === COMMA || byte === LF) {
      if (at === start) throw emptyValue(at)
      values.push(asciiText(bytes.subarray(start, at)))
      if (byte === LF) values = undefined
      start = at + 1
    } else {
      checkCharacter(bytes, at)
    }
  }
  if (values !== undefined || start < bytes.length) throw missingLf(bytes.length)
  return entries
}

/**
 * Encodes a KV block, entries and values in the order given.
 *
 * @throws BlockError (`ERR_BLOCK_INVALID`) under the rules of {@link decodeKvBlock}, and for what would
 * change the meaning of the block: `kv-equals-in-key`, `kv-lf-in-key`, `kv-lf-in-value`,
 * `kv-comma-in-value`. The offset is where the offending byte would stand in the block.
 */
export function encodeKvBlock(
  entries: KvBlock | Iterable<readonly [string, readonly string[]]>,
): Uint8Array {
  const keys = new Set<string>()
  let block = '' // ASCII alone, so its length is an offset in bytes
  for (const [key, values] of entries) {
    if (key === '') throw emptyKey(block.length)
    checkToken('key', key, block.length)
    if (keys.has(key)) throw duplicateKey(block.length)
    keys.add(key)
    block += `${key}=`
    if (values.length === 0) throw emptyValue(block.length)
    for (const [index, value] of values.entries()) {
      if (index > 0) block += ','
      if (value === '') throw emptyValue(block.length)
      checkToken('value', value, block.length)
      block += value
    }
    block += '\n'
  }
  if (block === '') throw emptyBlock()
  return textBytes(block)
}

function checkToken(kind: 'key' | 'value', token: string, base: number): void {
  const bytes = textBytes(token)
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at]
    if (byte === LF) throw lineFeed(kind, base + at)
    if (byte === COMMA) throw comma(kind, base + at)
    if (byte === EQUALS && kind === 'key') throw equalsInKey(base + at)
    checkCharacter(bytes, at, base)
  }
}

function checkCharacter(bytes: Uint8Array, at: number, base = 0): void {
  const byte = bytes[at] ?? 0
  if (byte > SPACE && byte <= 0x7e) return
  if (byte === SPACE) throw new BlockError('kv-space', base + at, 'a space is not allowed')
  if (byte === CR) throw new BlockError('kv-cr', base + at, 'a carriage return is not allowed')
  throw characterError('kv', bytes, at, base)
}

const emptyBlock = () => new BlockError('kv-empty-block', 0, 'a block has one line or more')
const emptyLine = (at: number) => new BlockError('kv-empty-line', at, 'a line is empty')
const missingEquals = (at: number) => new BlockError('kv-missing-equals', at, 'a line has no "="')
const missingLf = (at: number) =>
  new BlockError('kv-missing-lf', at, 'the last line does not end in a line feed')
const emptyKey = (at: number) => new BlockError('kv-empty-key', at, 'a key is empty')
const duplicateKey = (at: number) => new BlockError('kv-duplicate-key', at, 'a key appears twice')
const equalsInKey = (at: number) => new BlockError('kv-equals-in-key', at, 'a key contains "="')
const emptyValue = (at: number) => new BlockError('kv-empty-value', at, 'a value is empty')
const comma = (kind: 'key' | 'value', at: number) =>
  new BlockError(`kv-comma-in-${kind}`, at, `a ${kind} contains a comma`)
const lineFeed = (kind: 'key' | 'value', at: number) =>
  new BlockError(`kv-lf-in-${kind}`, at, `a ${kind} contains a line feed`)
