// The floods: what each says before it begins, and what it repeats. A flood is made of few blocks that are
// sent over and over, so that making it costs the flooder nothing.
import type { Address } from '../src/codec/address.ts'
import type { ForgedWire } from './flood-wires.ts'

/** Where floods are sent. */
export interface Targets {
  /** Connecting takes for ever. */
  readonly hang: Address
  /** Takes everything at once. */
  readonly fast: Address
  /** Sends without end. */
  readonly source: Address
  /** Refuses at once. */
  readonly refused: Address
}

const STREAMS = 32
const MOST_BYTES = 22_000_000
const OPENINGS = 150_000
const REFUSALS = 20_000
const BLOCK = 65_536

export interface FloodPlan {
  /** Said first, and given time to take effect. */
  readonly before: Uint8Array
  readonly blocks: Iterable<Uint8Array>
}

/** `undefined` where the wire has no such thing to say. */
type Plan = (wire: ForgedWire, targets: Targets) => FloodPlan | undefined

export interface FloodKind {
  readonly name: string
  readonly plan: Plan
}

export const FLOODS: readonly FloodKind[] = [
  { name: 'OPEN+RST', plan: (wire) => opening(wire, (id) => [wire.open(id), wire.reset(id)]) },
  {
    name: 'OPEN+FIN',
    plan: (wire) => {
      const { finish } = wire
      return finish && opening(wire, (id) => [wire.open(id), finish(id), wire.reset(id)])
    },
  },
  {
    name: 'dials that hang, reset at once',
    plan: (wire, { hang }) => opening(wire, (id) => [wire.dial(id, hang), wire.reset(id)]),
  },
  { name: 'one byte, 32 dials that hang', plan: (wire, { hang }) => oneByte(wire, hang) },
  { name: 'one byte, a fast target', plan: (wire, { fast }) => oneByte(wire, fast) },
  {
    name: 'zero-length DATA',
    plan: (wire, { fast }) => ({
      before: wire.dial(1, fast),
      blocks: repeat([wire.data(1, 0)], MOST_BYTES),
    }),
  },
  {
    name: 'credit of 1',
    plan: ({ creditOfOne, ...wire }, { source }) =>
      creditOfOne && {
        before: wire.dial(1, source),
        blocks: repeat([creditOfOne(1)], MOST_BYTES),
      },
  },
  {
    name: 'frames of gone ids',
    plan: (wire) => ({
      before: join([wire.open(1), wire.reset(1)]),
      blocks: repeat([wire.data(1, 1), wire.reset(1)], MOST_BYTES),
    }),
  },
  {
    name: 'refused targets',
    plan: (wire, { refused }) => ({
      before: new Uint8Array(0),
      blocks: blocksOf(REFUSALS, (id) => [wire.dial(id, refused)]),
    }),
  },
  { name: 'waste/PADDING', plan: ({ padding }) => padding && only(padding) },
  { name: 'PINGPONG', plan: ({ ping }) => only(ping) },
]

function only(frame: Uint8Array): FloodPlan {
  return { before: new Uint8Array(0), blocks: repeat([frame], MOST_BYTES) }
}

function opening(wire: ForgedWire, frames: (id: number) => readonly Uint8Array[]): FloodPlan {
  return {
    before: new Uint8Array(0),
    blocks: blocksOf(Math.min(OPENINGS, wire.ids), frames),
  }
}

/** To many streams by turns, never more than their windows. */
function oneByte(wire: ForgedWire, target: Address): FloodPlan {
  const ids = Array.from({ length: STREAMS }, (_, index) => index + 1)
  const frames = ids.map((id) => wire.data(id, 1))
  const turn = join(frames).length
  // The address counts too.
  const most = Math.min(MOST_BYTES, (wire.window - 100) * turn)
  return { before: join(ids.map((id) => wire.dial(id, target))), blocks: repeat(frames, most) }
}

/** The frames over and over, up to `bytes` bytes. */
function* repeat(frames: readonly Uint8Array[], bytes: number): Iterable<Uint8Array> {
  const once = join(frames)
  const block = join(new Array<Uint8Array>(Math.ceil(BLOCK / once.length)).fill(once))
  for (let sent = 0; sent + block.length <= bytes; sent += block.length) yield block
}

function* blocksOf(
  count: number,
  frames: (id: number) => readonly Uint8Array[],
): Iterable<Uint8Array> {
  let waiting: Uint8Array[] = []
  let bytes = 0
  for (let id = 1; id <= count; id += 1) {
    for (const frame of frames(id)) {
      waiting.push(frame)
      bytes += frame.length
    }
    if (bytes < BLOCK && id < count) continue
    yield join(waiting)
    waiting = []
    bytes = 0
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}
