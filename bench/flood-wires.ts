// What a client that floods says on each wire, in frames made by hand: hello, a stream to a target, one byte,
// and what there is to be repeated without end.
import { concatBytes } from '../src/codec/bytes.ts'
import { encodeAddress } from '../src/codec/address.ts'
import type { Address } from '../src/codec/address.ts'
import { DEFAULT_SCHEME } from '../src/shaping/scheme.ts'
import { hashPassword } from '../src/tls/session-options.ts'
import * as v1 from '../src/wires/anytls/frame-encoder.ts'
import { StreamFlag } from '../src/wires/anytls/frame.ts'
import { encodeClientNegoBlock } from '../src/wires/anytls/nego.ts'
import * as legacy from '../src/wires/legacy/frame-encoder.ts'
import { encodeClientSettingsText } from '../src/wires/legacy/settings.ts'
import * as muxPro from '../src/wires/muxpro/frame-encoder.ts'
import * as netMux from '../src/wires/netmux/frame-encoder.ts'
import { SUPPORTED_VERSIONS } from '../src/wires/muxpro/version.ts'
import { Flag } from '../src/wires/netmux/frame.ts'

export const FLOOD_PASSWORD = 'flood'

export type WireKey = 'v1' | 'draft' | 'legacy' | 'muxPro' | 'netMux'

/** Frames of one wire. Ids count from 1, whatever the wire makes of that. */
export interface ForgedWire {
  readonly name: string
  /** The first record. */
  readonly hello: Uint8Array
  /** Most bytes that one stream may be sent without being asked for more. */
  readonly window: number
  /** How many ids there are. */
  readonly ids: number
  open(id: number): Uint8Array
  /** Opens a stream to a target. */
  dial(id: number, target: Address): Uint8Array
  /** `length` bytes of data. */
  data(id: number, length: number): Uint8Array
  /** The end of both directions. */
  reset(id: number): Uint8Array
  /** The end of ours, where that is something else. */
  readonly finish?: (id: number) => Uint8Array
  /** Permission for one more byte. */
  readonly creditOfOne?: (id: number) => Uint8Array
  /** The smallest frame that means nothing. */
  readonly padding?: Uint8Array
  /** Asks for an answer. */
  readonly ping: Uint8Array
}

const HASH = hashPassword(FLOOD_PASSWORD)
const WINDOW = 262_144

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(parts)
}

function anytls(name: string, mux1Window: number | undefined): ForgedWire {
  const nego = encodeClientNegoBlock({
    versions: [1],
    client: 'flood/1',
    schemeDigest: DEFAULT_SCHEME.digest,
    mux1Window,
  })
  const wire: ForgedWire = {
    name,
    hello: join(v1.encodeAuth(HASH, 100), v1.encodeClientNego(nego)),
    // That of the server is as good as none.
    window: Infinity,
    ids: 1 << 30,
    open: (id) => v1.encodeStream(id, StreamFlag.Open),
    dial(id, target) {
      const address = encodeAddress(target)
      return join(v1.encodeDataHead(id, address.length, StreamFlag.Open), address)
    },
    data: (id, length) => join(v1.encodeDataHead(id, length), new Uint8Array(length)),
    reset: (id) => v1.encodeStream(id, StreamFlag.Rst),
    padding: v1.encodePadding(v1.MIN_PADDING_FRAME)!,
    ping: v1.encodePingPong(),
  }
  if (mux1Window === undefined) return wire
  return {
    ...wire,
    finish: (id) => v1.encodeStreamFin(id),
    creditOfOne: (id) => v1.encodeStreamCredit(id, 1),
  }
}

const LEGACY: ForgedWire = {
  name: 'original AnyTLS',
  hello: join(
    legacy.encodeAuthBlock(HASH, 30),
    legacy.encodeSettings(encodeClientSettingsText('flood/1', DEFAULT_SCHEME.digest)),
  ),
  window: Infinity,
  ids: 1 << 30,
  open: (id) => legacy.encodeSyn(id),
  dial(id, target) {
    const address = encodeAddress(target)
    return join(legacy.encodeSyn(id), legacy.encodePushHead(id, address.length), address)
  },
  data: (id, length) => join(legacy.encodePushHead(id, length), new Uint8Array(length)),
  reset: (id) => legacy.encodeFin(id),
  padding: legacy.encodeWaste(0),
  ping: legacy.encodeHeartbeatRequest(),
}

/** Where openings go that are for nothing but to be reset. */
const NOWHERE: Address = { host: 'hang.invalid', port: 1 }

function newFrame(id: number, target: Address): Uint8Array {
  return muxPro.encodeNew(id, { network: 'tcp', target, priority: 128 })
}

const MUX_PRO: ForgedWire = {
  name: 'Mux.Pro',
  hello: muxPro.encodeNegotiate(SUPPORTED_VERSIONS),
  window: 65_536,
  ids: 65_535,
  open: (id) => newFrame(id, NOWHERE),
  dial: newFrame,
  data: (id, length) => join(muxPro.encodeDataHead(id, length), new Uint8Array(length)),
  reset: (id) => muxPro.encodeEnd(id, 1),
  finish: (id) => muxPro.encodeEnd(id, 0),
  creditOfOne: (id) => muxPro.encodeCreditUpdate(id, 1),
  ping: muxPro.encodeKeepAlive(),
}

/** Who connects has the odd ids. */
const odd = (id: number): number => 2 * id - 1

const NET_MUX: ForgedWire = {
  name: 'net-mux',
  hello: netMux.encodePing(1),
  window: WINDOW,
  ids: 1 << 30,
  open: (id) => netMux.encodeDataHead(odd(id), 0, Flag.Syn),
  dial(id, target) {
    const address = encodeAddress(target)
    return join(netMux.encodeDataHead(odd(id), address.length, Flag.Syn), address)
  },
  data: (id, length) => join(netMux.encodeDataHead(odd(id), length), new Uint8Array(length)),
  reset: (id) => netMux.encodeDataHead(odd(id), 0, Flag.Rst),
  finish: (id) => netMux.encodeDataHead(odd(id), 0, Flag.Fin),
  creditOfOne: (id) => netMux.encodeWindowUpdate(odd(id), 1),
  ping: netMux.encodePing(7),
}

export const FORGED: Readonly<Record<WireKey, ForgedWire>> = {
  v1: anytls('ANYTLS v1', WINDOW),
  draft: anytls('ANYTLS v1 without mux1', undefined),
  legacy: LEGACY,
  muxPro: MUX_PRO,
  netMux: NET_MUX,
}
