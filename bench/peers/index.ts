// Every peer, by the key that the bench server and its clients use.
import type { Peer } from '../peer.ts'
import { anytlsDraft, anytlsMux1, anytlsUnshaped } from './anytls.ts'
import { bareTls } from './bare-tls.ts'
import { http2 } from './http2.ts'

export const PEERS = { bareTls, http2, anytlsMux1, anytlsDraft, anytlsUnshaped } as const

export type PeerKey = keyof typeof PEERS

export const PEER_KEYS = Object.keys(PEERS) as PeerKey[]

export function peerOf(key: PeerKey): Peer {
  return PEERS[key]
}
