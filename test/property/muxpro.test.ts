// Mux.Pro under random frames, random bytes, random cuts and random calls.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import type { MachineEvent } from '../../src/engine/machine.ts'
import { makeFrameDecoder } from '../../src/wires/muxpro/frame-decoder.ts'
import type { FrameReader } from '../../src/codec/frame-reader.ts'
import {
  encodeCreditUpdate,
  encodeDataHead,
  encodeEnd,
  encodeKeep,
  encodeKeepAlive,
  encodeNegotiate,
  encodeNew,
  withInitialData,
} from '../../src/wires/muxpro/frame-encoder.ts'
import type { Frame } from '../../src/wires/muxpro/frame.ts'
import { FRAME_INPUTS } from '../../src/wires/muxpro/state-tables.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { checkStreamEvents } from '../wires/anytls/checks.ts'
import { joined, shown } from '../wires/decoding.ts'
import { describeFrames, write } from '../wires/muxpro/frames.ts'
import { bytesOf, CLIENT_IN, FRAME_FOR, SERVER_IN, TCP, UDP } from '../wires/muxpro/support.ts'
import type { Setup, Tested } from '../wires/muxpro/support.ts'
import {
  CONNECTION_STEPS,
  isOver,
  runSteps,
  schedules,
  streamCalls,
  summary,
} from '../support/machine-steps.ts'
import type { Step } from '../support/machine-steps.ts'
import { cutAt, cuts, mutated } from '../support/v1-arbitraries.ts'
import { toHex } from '../codec/vectors.ts'

const id = fc.integer({ min: 1, max: 65_535 })
const hosts = fc.oneof(
  fc.ipV4(),
  fc.constantFrom('::1', '2001:db8::5', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'),
  fc.domain(),
)
const request = fc.record({
  network: fc.constantFrom('tcp' as const, 'udp' as const),
  target: fc.record({ host: hosts, port: fc.nat({ max: 65_535 }) }),
  priority: fc.nat({ max: 255 }),
})
const payload = fc.uint8Array({ minLength: 1, maxLength: 300 })

/** Frames, and their bytes as the encoder makes them. */
const encoded: fc.Arbitrary<{ readonly frames: readonly Frame[]; readonly bytes: Uint8Array }> =
  fc.oneof(
    fc
      .tuple(
        fc.array(fc.nat({ max: 0xffff_ffff }), { maxLength: 255 }),
        fc.constantFrom('metadata' as const, 'extra-data' as const),
      )
      .map(([versions, countPlace]) => ({
        frames: [{ type: 'negotiate' as const, versions, countPlace }],
        bytes: encodeNegotiate(versions, countPlace),
      })),
    fc.tuple(id, request, fc.option(payload)).map(([stream, asked, data]) => {
      const head = encodeNew(stream, asked)
      const opening = { type: 'new' as const, stream, request: asked }
      return data === null
        ? { frames: [opening], bytes: head }
        : {
            frames: [opening, { type: 'data' as const, stream, data }],
            bytes: concatBytes([withInitialData(head, data.length), data]),
          }
    }),
    fc.tuple(id, fc.option(payload)).map(([stream, data]) =>
      data === null
        ? { frames: [{ type: 'keep' as const, stream }], bytes: encodeKeep(stream) }
        : {
            frames: [
              { type: 'keep' as const, stream },
              { type: 'data' as const, stream, data },
            ],
            bytes: concatBytes([encodeDataHead(stream, data.length), data]),
          },
    ),
    fc.tuple(id, fc.nat({ max: 65_535 })).map(([stream, code]) => ({
      frames: [{ type: 'end' as const, stream, code }],
      bytes: encodeEnd(stream, code),
    })),
    fc.constant({ frames: [{ type: 'keep-alive' as const }], bytes: encodeKeepAlive() }),
    fc.tuple(id, fc.nat({ max: 0xffff_ffff })).map(([stream, increment]) => ({
      frames: [{ type: 'credit' as const, stream, increment }],
      bytes: encodeCreditUpdate(stream, increment),
    })),
  )

describe('the codec', () => {
  it('decodes what it encodes, however it is cut, and datagrams whole', () => {
    fc.assert(
      fc.property(fc.array(encoded, { maxLength: 12 }), cuts, fc.boolean(), (list, places, udp) => {
        const bytes = concatBytes(list.map((one) => one.bytes))
        const decoder = makeFrameDecoder(() => udp)
        const decoded = cutAt(bytes, places).flatMap((chunk) => decodeAll(decoder, chunk))
        const expected = list.flatMap(({ frames }) => frames).map(shown)
        expect(udp ? decoded.map(shown) : joined(decoded).map(shown)).toEqual(expected)
      }),
      { numRuns: 1_000 },
    )
  })

  it('takes any bytes for frames or for one violation, the same however they are cut', () => {
    const frames = fc
      .array(encoded, { maxLength: 6 })
      .map((list) => concatBytes(list.map(({ bytes }) => bytes)))
    const anything = fc.oneof(mutated(frames), fc.uint8Array({ maxLength: 60 }))
    fc.assert(
      fc.property(anything, cuts, fc.boolean(), (bytes, places, udp) => {
        const run = (chunks: readonly Uint8Array[]): unknown[] => {
          const decoder = makeFrameDecoder(() => udp)
          const list: Frame[] = []
          try {
            for (const chunk of chunks) list.push(...decodeAll(decoder, chunk, list))
          } catch (error) {
            expect(error).toBeInstanceOf(AnyTlsError)
            return [...joined(list).map(shown), (error as AnyTlsError).message]
          }
          return joined(list).map(shown)
        }
        expect(run(cutAt(bytes, places))).toEqual(run([bytes]))
      }),
      { numRuns: 2_000 },
    )
  })
})

/** Every machine in every state. */
const EVERYWHERE: readonly ((setup?: Setup) => Tested)[] = [
  ...Object.values(CLIENT_IN),
  ...Object.values(SERVER_IN),
]
const somewhere = fc.constantFrom(...EVERYWHERE)

const known = fc.constantFrom(...FRAME_INPUTS).map((input) => FRAME_FOR[input])
const onStream = fc
  .tuple(fc.nat({ max: 4 }), fc.nat({ max: 6 }), fc.nat({ max: 3 }), payload)
  .map(([stream, state, opt, data]) => write.frame(stream, state, opt, [], data))
const speech = fc
  .array(
    fc.oneof(
      known,
      onStream,
      encoded.map(({ bytes }) => bytes),
    ),
    { maxLength: 10 },
  )
  .map((list) => concatBytes(list))

describe('the machines', () => {
  it('D42: datagrams keep their boundaries, however the connection is cut', () => {
    const sizes = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3_000 })), {
      minLength: 1,
      maxLength: 20,
    })
    fc.assert(
      fc.property(sizes, cuts, (list, places) => {
        const client = CLIENT_IN.open()
        const server = SERVER_IN.open()
        const sent: string[] = []
        for (const [index, [udp, size]] of list.entries()) {
          const data = new Uint8Array(size).fill(index + 1)
          // Stream 1 is TCP, whose bytes may come in any pieces; stream 2 is UDP.
          client.sendData(
            udp ? 2 : 1,
            [data.subarray(0, size >> 1), data.subarray(size >> 1)],
            size,
            0,
          )
          if (udp) sent.push(toHex(data))
        }
        const events = cutAt(bytesOf(client.takeWrites()), places).flatMap((chunk) => [
          ...server.receive(chunk, 0),
        ])
        const received = events.flatMap((event) =>
          event.type === 'data' && event.stream === 2 ? [toHex(event.data)] : [],
        )
        expect(received).toEqual(sent)
      }),
      { numRuns: 300 },
    )
  })

  it('give events or one protocol error for any bytes, the same however they are cut', () => {
    const anyBytes = fc.oneof(speech, mutated(speech), fc.uint8Array({ maxLength: 100 }))
    fc.assert(
      fc.property(somewhere, anyBytes, cuts, (make, bytes, places) => {
        const [whole, cut] = [make(), make()]
        const atOnce = whole.receive(bytes, 1)
        const inPieces = cutAt(bytes, places).flatMap((chunk) => cut.receive(chunk, 1))
        expect(summary(inPieces)).toEqual(summary(atOnce))
        expect(cut.current).toBe(whole.current)
        const said = bytesOf(whole.takeWrites())
        expect(toHex(bytesOf(cut.takeWrites()))).toBe(toHex(said))
        // Whole frames, or this throws.
        describeFrames(said)
        checkStreamEvents(afterReuse(atOnce))
        const ends = atOnce.filter(({ type }) => type === 'closed').length
        expect(ends).toBe(whole.current === 'closed' && make().current !== 'closed' ? 1 : 0)
        if (whole.current === 'closed') expect(whole.deadline).toBe(Infinity)
      }),
      { numRuns: 2_000 },
    )
  })

  const small = fc.integer({ min: 1, max: 4 })
  const step: fc.Arbitrary<Step<Tested>> = fc.oneof(
    {
      weight: 4,
      arbitrary: known.map(
        (bytes): Step<Tested> =>
          (machine, now) =>
            machine.receive(bytes, now),
      ),
    },
    {
      weight: 6,
      arbitrary: fc.tuple(small, fc.nat({ max: 70_000 })).map(
        ([stream, bytes]): Step<Tested> =>
          (machine, now) =>
            machine.receive(write.keep(stream, new Uint8Array(Math.min(bytes, 65_535))), now),
      ),
    },
    { weight: 6, arbitrary: streamCalls(4) },
    { weight: 4, arbitrary: fc.boolean().map((udp): Step<Tested> => openIfPossible(udp)) },
    { weight: 3, arbitrary: fc.constantFrom(...CONNECTION_STEPS) },
    { weight: 2, arbitrary: fc.constant<Step<Tested>>((machine) => void machine.takeWrites()) },
  )
  const schedule = schedules(step)

  it('keep events in order, streams apart and timers moving under any calls', () => {
    fc.assert(
      fc.property(somewhere, schedule, (make, steps) => {
        const machine = make()
        const events = runSteps(machine, steps)
        describeFrames(bytesOf(machine.takeWrites()))
        checkStreamEvents(afterReuse(events))
        if (!isOver(events)) return
        expect(events.at(-1)?.type).toBe('closed')
        expect([machine.streamCount, machine.deadline]).toEqual([0, Infinity])
      }),
      { numRuns: 1_500 },
    )
  })
})

function openIfPossible(udp: boolean): Step<Tested> {
  return (machine, now) => {
    if (machine.mayOpen) machine.openStream(now, udp ? UDP : TCP)
  }
}

/** The events behind the last opening of each stream: ids come again. */
function afterReuse(events: readonly MachineEvent[]): MachineEvent[] {
  return events.filter((event, index) => {
    if (!('stream' in event)) return true
    const later = events.slice(index + 1)
    return !later.some((other) => other.type === 'open' && other.stream === event.stream)
  })
}

/** Takes a chunk; `before` gets what comes before a violation. */
function decodeAll(decoder: FrameReader<Frame>, chunk: Uint8Array, before: Frame[] = []): Frame[] {
  const list: Frame[] = []
  decoder.push(chunk)
  try {
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) list.push(frame)
  } catch (error) {
    before.push(...list)
    throw error
  }
  return list
}
