// The net-mux codec and machine on random frames, random cuts and random bytes, with the naive reader of
// test/wires/netmux/frames.ts as the oracle.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AnyTlsError } from '../../src/errors.ts'
import type { MachineEvent } from '../../src/engine/machine.ts'
import { makeFrameDecoder } from '../../src/wires/netmux/frame-decoder.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { bytesOf, told } from '../wires/anytls/support.ts'
import { decode } from '../wires/netmux/decoding.ts'
import { frame, readFrames, write } from '../wires/netmux/frames.ts'
import type { RawFrame } from '../wires/netmux/frames.ts'
import { makeMachine } from '../wires/netmux/support.ts'
import type { NetMux } from '../wires/netmux/support.ts'
import { cutAt, cuts, mutated } from '../support/v1-arbitraries.ts'
import { toHex } from '../codec/vectors.ts'

const RUNS = { numRuns: 1_500 }
const MAX_PAYLOAD = 100

const uint32 = fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 0xffff_ffff }))
const streamId = fc.oneof(
  fc.integer({ min: 1, max: 8 }),
  uint32.map((id) => Math.max(1, id)),
)
const flags = fc.nat({ max: 15 })

const anyFrame = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(streamId, fc.uint8Array({ maxLength: MAX_PAYLOAD }), flags) },
  { weight: 1, arbitrary: fc.tuple(streamId, uint32) },
  { weight: 1, arbitrary: fc.tuple(fc.constant(2), flags, uint32) },
  { weight: 1, arbitrary: fc.tuple(fc.constant(3), fc.constant(0), uint32) },
)

const frames = fc
  .array(
    anyFrame.map((parts) => {
      if (parts.length === 2) return write.window(...parts)
      const [first, second, third] = parts
      if (typeof second === 'number') return frame(first, second, 0, third)
      return write.data(first, second, third)
    }),
    { maxLength: 10 },
  )
  .map((list) => concatBytes(list))

const anyBytes = fc.oneof(
  frames,
  mutated(frames),
  fc.uint8Array({ maxLength: 60 }),
  // Bytes that mean something: small ids, flags, types and lengths.
  fc.array(fc.nat({ max: 5 }), { maxLength: 60 }).map((list) => Uint8Array.from([1, ...list])),
)

describe('net-mux codec', () => {
  it('net-mux: any bytes, however cut, are decoded as the naive reader finds them, or one violation', () => {
    fc.assert(
      fc.property(anyBytes, cuts, (bytes, places) => {
        const decoder = makeFrameDecoder(MAX_PAYLOAD)
        const { frames: decoded, violation } = decode(cutAt(bytes, places), decoder)
        const raw = readFrames(bytes, MAX_PAYLOAD)
        expect(decoded).toEqual(raw.frames.flatMap((one) => decodedForm(one)))
        expect(violation?.code).toBe(CODES[raw.stopped])
      }),
      RUNS,
    )
  })
})

const CODES: Readonly<Record<string, AnyTlsError['code'] | undefined>> = {
  violation: 'ERR_PROTOCOL_VIOLATION',
  version: 'ERR_VERSION_UNSUPPORTED',
}

/** What the decoder must make of a frame, payload as hex. */
function decodedForm({ type, flags, stream, length, payload }: RawFrame): unknown[] {
  if (type === 1) return [{ type: 'window-update', stream, increment: length }]
  if (type === 2) return [{ type: 'ping', isAnswer: (flags & 2) !== 0, value: length }]
  if (type === 3) return [{ type: 'goaway', code: length }]
  const data = payload.length > 0 ? [{ type: 'payload', stream, data: toHex(payload) }] : []
  const ends = (flags & 12) !== 0 && payload.length === length
  const end = ends ? [{ type: 'data-end', stream, flags }] : []
  return [{ type: 'data', stream, flags }, ...data, ...end]
}

describe('net-mux machine', () => {
  /** A machine with two streams of its own and two of its peer's. */
  const make = (role: 'client' | 'server'): NetMux => {
    const machine = makeMachine(role, {
      maxStreams: 6,
      initialStreamWindow: 150,
      maxFrameSize: 100,
    })
    machine.openStream(0)
    machine.openStream(0)
    const theirs = role === 'client' ? [2, 4] : [1, 3]
    for (const stream of theirs) machine.receive(write.syn(stream), 0)
    machine.takeWrites()
    return machine
  }
  const role = fc.constantFrom('client' as const, 'server' as const)

  it('net-mux: random bytes give events or one protocol error, and nothing else', () => {
    fc.assert(
      fc.property(role, anyBytes, cuts, (role, bytes, places) => {
        const machine = make(role)
        const events = cutAt(bytes, places).flatMap((chunk) => machine.receive(chunk, 1))
        checkEvents(events, machine)
        expect(readFrames(bytesOf(machine.takeWrites())).stopped).toBe('end')
        expect(machine.streamCount).toBeLessThanOrEqual(6)
      }),
      RUNS,
    )
  })

  it('net-mux: any segmentation gives the same events and the same answers', () => {
    fc.assert(
      fc.property(role, anyBytes, cuts, (role, bytes, places) => {
        const [whole, cut] = [make(role), make(role)]
        const atOnce = joined(bytes.length > 0 ? whole.receive(bytes, 1) : [])
        const inPieces = joined(cutAt(bytes, places).flatMap((chunk) => cut.receive(chunk, 1)))
        expect(inPieces).toEqual(atOnce)
        expect(cut.current).toBe(whole.current)
        expect(toHex(bytesOf(cut.takeWrites()))).toBe(toHex(bytesOf(whole.takeWrites())))
      }),
      RUNS,
    )
  })

  it('net-mux: random calls and frames leave a machine that says whole frames and ends once', () => {
    const id = fc.integer({ min: 1, max: 9 })
    const call = fc.oneof(
      fc.constantFrom<(machine: NetMux) => unknown>(
        (machine) => (machine.mayOpen ? machine.openStream(1) : undefined),
        (machine) => machine.ping(1),
        (machine) => machine.timeout(machine.deadline),
        (machine) => machine.setReading(false, 1),
        (machine) => machine.setReading(true, 1),
        (machine) => machine.progress(1),
      ),
      id.map((id) => (machine: NetMux) => machine.acceptStream(id, 1)),
      id.map((id) => (machine: NetMux) => machine.finishStream(id, 1)),
      id.map((id) => (machine: NetMux) => machine.resetStream(id, 0, '', 1)),
      fc.tuple(id, fc.nat({ max: 90 })).map(([id, bytes]) => (machine: NetMux) => {
        const room = Math.min(bytes, machine.credit(id))
        if (room > 0) machine.sendData(id, [new Uint8Array(room)], room, 1)
      }),
      fc.tuple(id, fc.nat({ max: 90 })).map(([id, bytes]) => (machine: NetMux) => {
        machine.consumed(id, bytes, 1)
      }),
      frames.map((bytes) => (machine: NetMux) => machine.receive(bytes, 1)),
    )
    const ending = fc.constantFrom<(machine: NetMux) => unknown>(
      (machine) => machine.close(1),
      (machine) => machine.abort(0, 1),
      (machine) => machine.endOfInput(1),
    )
    const calls = fc.array(
      fc.oneof({ weight: 12, arbitrary: call }, { weight: 1, arbitrary: ending }),
    )
    fc.assert(
      fc.property(role, calls, (role, list) => {
        const machine = make(role)
        const events = list.flatMap((one) => {
          const returned = one(machine)
          return Array.isArray(returned) ? (returned as MachineEvent[]) : []
        })
        checkEvents(events, machine)
        expect(readFrames(bytesOf(machine.takeWrites())).stopped).toBe('end')
      }),
      RUNS,
    )
  })
})

/** The end comes once and last, leaves nothing behind, and every stream ends at most once. */
function checkEvents(events: readonly MachineEvent[], machine: NetMux): void {
  const end = events.findIndex(({ type }) => type === 'closed')
  if (end >= 0) {
    expect(end).toBe(events.length - 1)
    expect([machine.current, machine.deadline, machine.streamCount]).toEqual([
      'closed',
      Infinity,
      0,
    ])
  }
  for (const event of events) {
    if (event.type === 'data') expect(event.data.length).toBeGreaterThan(0)
  }
}

/** Events as text, adjacent data of one stream joined. */
function joined(events: readonly MachineEvent[]): string[] {
  const lines: string[] = []
  for (const event of events) {
    const last = lines.at(-1)
    if (event.type === 'data' && last?.startsWith(`data ${event.stream} `) === true) {
      lines[lines.length - 1] = last + toHex(event.data)
    } else {
      const line = event.type === 'data' ? `data ${event.stream} ${toHex(event.data)}` : undefined
      lines.push(line ?? told([event]).join())
    }
  }
  return lines
}
