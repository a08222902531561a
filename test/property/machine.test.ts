// Both machines under random bytes and random calls: events or one protocol error, and nothing else.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FRAME_INPUTS } from '../../src/wires/anytls/state-tables.ts'
import type { MachineEvent } from '../../src/engine/machine.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { checkEvents, checkStreamEvents, checkWrites, isOver } from '../wires/anytls/checks.ts'
import { EVERYWHERE, FRAME_FOR } from '../wires/anytls/states.ts'
import type { Tested } from '../wires/anytls/states.ts'
import { bytesOf, clientNego, HASH, serverNego, unreadOf } from '../wires/anytls/support.ts'
import type { Setup } from '../wires/anytls/support.ts'
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
        const atOnce = summary(bytes.length > 0 ? whole.receive(bytes, 1) : [], [])
        const chunks = cutAt(bytes, places)
        const events: MachineEvent[] = []
        while (chunks.length > 0 && !isOver(events)) events.push(...cut.receive(chunks.shift()!, 1))
        expect(summary(events, chunks)).toEqual(atOnce)
        expect(cut.current).toBe(whole.current)
        expect(toHex(bytesOf(cut.takeWrites()))).toBe(toHex(bytesOf(whole.takeWrites())))
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('random calls', () => {
  const small = fc.integer({ min: 1, max: 5 })
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...FRAME_INPUTS).map(frameStep) },
    { weight: 6, arbitrary: fc.tuple(fc.nat({ max: 7 }), small).map(streamStep) },
    { weight: 6, arbitrary: fc.tuple(fc.constantFrom(...STREAM_CALLS), small).map(callStep) },
    { weight: 4, arbitrary: fc.constant<Step>(openIfPossible) },
    { weight: 3, arbitrary: fc.constantFrom<Step[]>(...CONNECTION_STEPS) },
    { weight: 3, arbitrary: fc.constant<Step>((machine, now) => machine.timeout(now)) },
  )
  const start = fc.constantFrom(...EVERYWHERE.filter(({ state }) => state !== 'handed-over'))
  const schedule = fc.array(fc.tuple(step, fc.oneof(fc.constant(0), fc.nat({ max: 20_000 }))), {
    maxLength: 60,
    size: 'max',
  })

  it('in any order keep events in order, streams apart and timers moving', () => {
    fc.assert(
      fc.property(start, speech, schedule, ({ name, make }, setup, steps) => {
        const machine = make({ ...setup, timeouts: { stream: 50_000 } })
        const events: MachineEvent[] = []
        let now = 0
        for (const [run, wait] of steps) {
          now += wait
          while (machine.deadline <= now) {
            const due = machine.deadline
            events.push(...machine.timeout(due))
            if (machine.deadline <= due) expect.fail('a timer that is due again at once')
          }
          const returned = run(machine, now)
          if (Array.isArray(returned)) events.push(...(returned as MachineEvent[]))
        }
        checkEvents(events, machine, name)
        checkWrites(name, bytesOf(machine.takeWrites()))
        checkStreamEvents(events)
        if (isOver(events)) expect(machine.streamCount).toBe(0)
      }),
      { numRuns: 3_000 },
    )
  })
})

/** A call; it may return events. */
type Step = (machine: Tested, now: number) => unknown

const CONNECTION_STEPS: readonly Step[] = [
  (machine, now) => machine.close(now),
  (machine, now) => machine.ping(now),
  (machine, now) => machine.setReading(false, now),
  (machine, now) => machine.setReading(true, now),
  (machine, now) => machine.progress(now),
  (machine, now) => machine.endOfInput(now),
  (machine, now) => machine.abort(0, now),
  (machine, now) => machine.receive(write.serverNego(serverNego('draft')), now),
  (machine, now) => machine.receive(write.clientNego(clientNego('draft')), now),
]

const STREAM_CALLS = ['accept', 'send', 'finish', 'reset', 'consume'] as const

function callStep([call, stream]: [(typeof STREAM_CALLS)[number], number]): Step {
  return (machine, now) => {
    switch (call) {
      case 'accept':
        machine.acceptStream(stream, now)
        return undefined
      case 'send': {
        const bytes = Math.min(1_000, machine.credit(stream))
        if (bytes > 0) machine.sendData(stream, [new Uint8Array(bytes)], bytes, now)
        return undefined
      }
      case 'finish':
        return machine.finishStream(stream, now)
      case 'reset':
        return machine.resetStream(stream, 5, 'no route', now)
      case 'consume':
        machine.consumed(stream, 20_000, now)
        return undefined
    }
  }
}

function frameStep(input: (typeof FRAME_INPUTS)[number]): Step {
  return (machine, now) => machine.receive(FRAME_FOR[input], now)
}

function streamStep([flags, stream]: [number, number]): Step {
  return (machine, now) => machine.receive(write.stream(flags, stream, 'some data'), now)
}

function openIfPossible(machine: Tested, now: number): void {
  if (machine.mayOpen) machine.openStream(now)
}

/** Events without what differs by segmentation: data joined, errors and bytes as text. */
function summary(events: readonly MachineEvent[], rest: readonly Uint8Array[]): string[] {
  const lines: string[] = []
  let open = -1
  for (const event of events) {
    const { type } = event
    if (type === 'data') {
      if (open === event.stream) lines.push(`${lines.pop() ?? ''}${toHex(event.data)}`)
      else lines.push(`data ${event.stream} ${toHex(event.data)}`)
      open = event.stream
      continue
    }
    open = -1
    if (type === 'handover') {
      const unread = concatBytes([...event.handover.unread, ...rest])
      lines.push(`handover ${event.handover.cause} ${toHex(unread)}`)
    } else if ('error' in event) {
      const { error } = event
      lines.push(JSON.stringify({ ...event, error: error?.message }))
    } else {
      lines.push(JSON.stringify(event))
    }
  }
  return lines
}
