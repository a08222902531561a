import { expect, it } from 'vitest'
import * as wire from '../../src/codec.ts'

it('anytls/wire offers the codecs and nothing of their inside', () => {
  expect(Object.keys(wire).sort()).toEqual([
    'ADDRESS_MAX_LENGTH',
    'AddressType',
    'AnyTlsError',
    'BlockError',
    'ByteQueue',
    'VARINT_MAX',
    'VARINT_MAX_LENGTH',
    'decodeAddress',
    'decodeKvBlock',
    'decodeTextBlock',
    'decodeVarint',
    'encodeAddress',
    'encodeKvBlock',
    'encodeTextBlock',
    'encodeVarint',
    'formatHostPort',
    'formatIPv4',
    'formatIPv6',
    'parseHostPort',
    'parseIPv4',
    'parseIPv6',
    'readVarint',
    'toTextBlock',
    'varintLength',
    'varintLengthFrom',
    'writeVarint',
  ])
})
