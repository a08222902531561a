// The public face of `anytls/codec`, and of `anytls/wire`, as it was called: the codecs of bytes that need no connection.
// Must never: define anything itself.
export { AnyTlsError, BlockError } from './errors.ts'
export type { ErrorCode } from './errors.ts'
export { ADDRESS_MAX_LENGTH, AddressType, decodeAddress, encodeAddress } from './codec/address.ts'
export type { Address, AddressTypes, DecodedAddress } from './codec/address.ts'
export { ByteQueue } from './codec/byte-queue.ts'
export { formatHostPort, parseHostPort } from './codec/host-port.ts'
export { formatIPv4, formatIPv6, parseIPv4, parseIPv6 } from './codec/ip.ts'
export { decodeKvBlock, encodeKvBlock } from './codec/kv-block.ts'
export type { KvBlock } from './codec/kv-block.ts'
export { decodeTextBlock, encodeTextBlock, toTextBlock } from './codec/text-block.ts'
export {
  decodeVarint,
  encodeVarint,
  readVarint,
  VARINT_MAX,
  VARINT_MAX_LENGTH,
  varintLength,
  varintLengthFrom,
  writeVarint,
} from './codec/varint.ts'
export type { DecodedVarint, VarintLength } from './codec/varint.ts'
