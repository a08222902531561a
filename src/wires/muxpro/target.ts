// The fields of a New frame behind its options: network, priority, port, address (section 6.3.2).
// Must never resolve a name, or take a name that the address codec would not.
import { AnyTlsError, invalidOption } from '../../errors.ts'
import type { StreamRequest } from '../../engine/machine.ts'
import type { Address } from '../../codec/address.ts'
import { AddressType, decodeAddress, encodeAddress } from '../../codec/address.ts'
import { concatBytes } from '../../codec/bytes.ts'

const NetworkType = { Tcp: 0x01, Udp: 0x02 } as const

const NETWORK_TYPES: ReadonlyMap<string, number> = new Map([
  ['tcp', NetworkType.Tcp],
  ['udp', NetworkType.Udp],
])

/** Address types of Mux.Pro, by those of SOCKS, whose codec does the rest. */
const TYPE_OF_SOCKS: Readonly<Record<number, number>> = {
  [AddressType.IPv4]: 0x01,
  [AddressType.Name]: 0x02,
  [AddressType.IPv6]: 0x03,
}

const SOCKS_OF_TYPE: readonly (number | undefined)[] = [
  undefined,
  AddressType.IPv4,
  AddressType.Name,
  AddressType.IPv6,
]

/** Network, priority, port and address type: what stands before the address, in bytes. */
const HEAD = 5

/** Fields that have the right length and ask for something that cannot be done. */
export interface UnusableTarget {
  readonly problem: string
}

/**
 * @throws AnyTlsError `ERR_OPTION_INVALID` for the network, the priority or what is no target at all,
 *   `ERR_ADDRESS_INVALID` for the target
 */
export function encodeTarget({ network, target, priority }: StreamRequest): Uint8Array {
  const networkType = NETWORK_TYPES.get(network)
  if (networkType === undefined) throw invalidOption('network must be tcp or udp')
  if (!Number.isInteger(priority) || priority < 0 || priority > 0xff) {
    throw invalidOption('priority must be a whole number from 0 to 255')
  }
  if (typeof (target as Partial<Address> | null)?.host !== 'string') {
    throw invalidOption('target must have a host and a port')
  }
  // Type, host, port; there the port comes last.
  const socks = encodeAddress(target)
  const end = socks.length - 2
  return concatBytes([
    Uint8Array.of(networkType, priority),
    socks.subarray(end),
    Uint8Array.of(TYPE_OF_SOCKS[socks[0] ?? 0] ?? 0),
    socks.subarray(1, end),
  ])
}

/**
 * Decodes `fields`, which must be all of them and nothing else.
 *
 * @returns `undefined` when their length is not the one that they tell
 */
export function decodeTarget(fields: Uint8Array): StreamRequest | UnusableTarget | undefined {
  if (fields.length <= HEAD) return undefined
  const [network = 0, priority = 0, portHigh = 0, portLow = 0, type = 0] = fields
  const socksType = SOCKS_OF_TYPE[type]
  if (socksType === undefined) return { problem: `address type ${type} is not known` }
  const socks = concatBytes([
    Uint8Array.of(socksType),
    fields.subarray(HEAD),
    Uint8Array.of(portHigh, portLow),
  ])
  if (socks.length !== expectedLength(socks)) return undefined
  if (network !== NetworkType.Tcp && network !== NetworkType.Udp) {
    return { problem: `network type ${network} is not known` }
  }
  try {
    const target = decodeAddress(socks)?.address
    if (target === undefined) return undefined
    return { network: network === NetworkType.Udp ? 'udp' : 'tcp', target, priority }
  } catch (error) {
    if (!(error instanceof AnyTlsError)) throw error
    return { problem: error.message }
  }
}

/** How long a SOCKS address is by what it says of itself, in bytes. */
function expectedLength([type, length = 0]: Uint8Array): number {
  switch (type) {
    case AddressType.IPv4:
      return 1 + 4 + 2
    case AddressType.IPv6:
      return 1 + 16 + 2
    default:
      return 2 + length + 2
  }
}
