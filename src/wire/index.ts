// The public face of `anytls/wire`: the codecs of bytes that need no connection.
// Must never: define anything itself.
export { AnyTlsError, BlockError } from '../errors.ts'
export type { ErrorCode } from '../errors.ts'
export { ADDRESS_MAX_LENGTH, AddressType, decodeAddress, encodeAddress } from './address.ts'
export type { Address, DecodedAddress } from './address.ts'
export { ByteQueue } from './byte-queue.ts'
export { formatHostPort, parseHostPort } from './host-port.ts'
export { formatIPv4, formatIPv6, parseIPv4, parseIPv6 } from './ip.ts'
export { decodeKvBlock, encodeKvBlock } from './kv-block.ts'
export type { KvBlock } from './kv-block.ts'
export { decodeTextBlock, encodeTextBlock, toTextBlock } from './text-block.ts'
export {
  decodeVarint,
  encodeVarint,
  readVarint,
  VARINT_MAX,
  VARINT_MAX_LENGTH,
  varintLength,
  varintLengthFrom,
  writeVarint,
} from './varint.ts'
export type { DecodedVarint, VarintLength } from './varint.ts'
