// Both machines under random bytes and random calls: events or one protocol error, and nothing else.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FRAME_INPUTS } from '../../src/wires/anytls/state-tables.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { checkEvents, checkStreamEvents, checkWrites } from '../wires/anytls/checks.ts'
import { EVERYWHERE, FRAME_FOR } from '../wires/anytls/states.ts'
import type { Tested } from '../wires/anytls/states.ts'
import { bytesOf, clientNego, HASH, serverNego, unreadOf } from '../wires/anytls/support.ts'
import type { Setup } from '../wires/anytls/support.ts'
import {
  checkCut,
  CONNECTION_STEPS,
  isOver,
  runSteps,
  schedules,
  streamCalls,
} from '../support/machine-steps.ts'
import type { Step } from '../support/machine-steps.ts'
import { anyFrame, cutAt, cuts, mutated, toBytes } from '../support/v1-arbitraries.ts'
import { write } from '../support/v1-frames.ts'
import { toHex } from '../codec/vectors.ts'

/** With mux1 on offer, or the draft alone. */
const speech = fc.constantFrom<Setup>({}, { mux1Window: undefined })

describe('random bytes', () => {
  const known = fc.constantFrom(...FRAME_INPUTS).map((input) => FRAME_FOR[input])
  const onStream = fc
    .tuple(fc.nat({ max: 7 }), fc.integer({ min: 1, max: 4 }), fc.uint8Array({ maxLength: 30 }))
    .map(([flags, stream, data]) => write.stream(flags, stream, data))
  const random = anyFrame.map((spec) => toBytes(spec))
  const frames = fc
    .array(fc.oneof(known, onStream, random), { maxLength: 10 })
    .map((list) => concatBytes(list))
  const anyBytes = fc.oneof(frames, mutated(frames), fc.uint8Array({ maxLength: 100 }))
  const somewhere = fc.constantFrom(...EVERYWHERE)

  it('give events or one protocol error, and nothing else, in every state', () => {
    fc.assert(
      fc.property(somewhere, speech, anyBytes, cuts, (place, setup, bytes, places) => {
        const { name, state, make } = place
        const machine = make(setup)
        const title = `${name}, ${state}`
        const events = cutAt(bytes, places).flatMap((chunk) => machine.receive(chunk, 1))
        checkEvents(events, machine, title)
        checkWrites(name, bytesOf(machine.takeWrites()))
        const unread = unreadOf(events)
        // What a machine hands over it has got, up to the last byte of the chunk it was in.
        if (unread !== undefined) expect(toHex(bytes)).toContain(toHex(unread))
        if (machine.deadline === Infinity && events.length > 0) {
          expect(machine.receive(write.ping(), 1), title).toEqual([])
          expect(machine.takeWrites(), title).toEqual([])
        }
      }),
      { numRuns: 3_000 },
    )
  })

  it('any segmentation gives the same events and the same answers', () => {
    fc.assert(
      fc.property(somewhere, speech, anyBytes, cuts, ({ state, make }, setup, given, places) => {
        const [whole, cut] = [make(setup), make(setup)]
        const first = write.auth(HASH).subarray(0, 34)
        // D14: the first record is judged alone, so the cuts begin behind it.
        const authenticating = state === 'await-auth'
        if (authenticating) for (const machine of [whole, cut]) machine.receive(first, 1)
        const bytes = authenticating ? concatBytes([Uint8Array.of(0), given]) : given
        checkCut(whole, cut, bytes, cutAt(bytes, places))
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('random calls', () => {
  const small = fc.integer({ min: 1, max: 5 })
  const step: fc.Arbitrary<Step<Tested>> = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...FRAME_INPUTS).map(frameStep) },
    { weight: 6, arbitrary: fc.tuple(fc.nat({ max: 7 }), small).map(streamStep) },
    { weight: 6, arbitrary: streamCalls(5) },
    { weight: 4, arbitrary: fc.constant<Step<Tested>>(openIfPossible) },
    { weight: 3, arbitrary: fc.constantFrom(...CONNECTIONS) },
    { weight: 3, arbitrary: fc.constant<Step<Tested>>((machine, now) => machine.timeout(now)) },
  )
  const start = fc.constantFrom(...EVERYWHERE.filter(({ state }) => state !== 'handed-over'))
  const schedule = schedules(step)

  it('in any order keep events in order, streams apart and timers moving', () => {
    fc.assert(
      fc.property(start, speech, schedule, ({ name, make }, setup, steps) => {
        const machine = make({ ...setup, timeouts: { stream: 50_000 } })
        const events = runSteps(machine, steps)
        checkEvents(events, machine, name)
        checkWrites(name, bytesOf(machine.takeWrites()))
        checkStreamEvents(events)
        if (isOver(events)) expect(machine.streamCount).toBe(0)
      }),
      { numRuns: 3_000 },
    )
  })
})

const CONNECTIONS: readonly Step<Tested>[] = [
  ...CONNECTION_STEPS,
  (machine, now) => machine.receive(write.serverNego(serverNego('draft')), now),
  (machine, now) => machine.receive(write.clientNego(clientNego('draft')), now),
]

function frameStep(input: (typeof FRAME_INPUTS)[number]): Step<Tested> {
  return (machine, now) => machine.receive(FRAME_FOR[input], now)
}

function streamStep([flags, stream]: [number, number]): Step<Tested> {
  return (machine, now) => machine.receive(write.stream(flags, stream, 'some data'), now)
}

function openIfPossible(machine: Tested, now: number): void {
  if (machine.mayOpen) machine.openStream(now)
}
