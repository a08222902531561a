// Every peer, by the key that the bench server and its clients use.
import type { Peer } from '../peer.ts'
import { anytlsDraft, anytlsLegacy, anytlsMux1, anytlsUnshaped } from './anytls.ts'
import { bareTls } from './bare-tls.ts'
import { http2 } from './http2.ts'
import { muxPro, netMux, yamux } from './over-tls.ts'

const PEERS = {
  bareTls,
  http2,
  anytlsMux1,
  anytlsDraft,
  anytlsLegacy,
  anytlsUnshaped,
  muxPro,
  netMux,
  yamux,
} as const

export type PeerKey = keyof typeof PEERS

export const PEER_KEYS = Object.keys(PEERS) as PeerKey[]

export function peerOf(key: PeerKey): Peer {
  return PEERS[key]
}
