// The original wire under random frames, random bytes, random cuts and random calls.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeFrameDecoder } from '../../src/wires/legacy/frame-decoder.ts'
import type { Frame } from '../../src/wires/legacy/frame.ts'
import { FRAME_INPUTS } from '../../src/wires/legacy/state-tables.ts'
import type { MachineEvent } from '../../src/engine/machine.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { checkEvents, checkStreamEvents } from '../wires/anytls/checks.ts'
import { authLength, frame, readFrames, write } from '../wires/legacy/frames.ts'
import { EVERYWHERE, FRAME_FOR } from '../wires/legacy/states.ts'
import type { Place, Tested } from '../wires/legacy/states.ts'
import { decodeAll } from '../wires/decoding.ts'
import { bytesOf, settingsText, unreadOf } from '../wires/legacy/support.ts'
import {
  checkCut,
  CONNECTION_STEPS,
  isOver,
  errorText,
  runSteps,
  schedules,
  streamCalls,
} from '../support/machine-steps.ts'
import type { Step } from '../support/machine-steps.ts'
import { cutAt, cuts, mutated } from '../support/v1-arbitraries.ts'
import { toHex } from '../codec/vectors.ts'

const stream = fc.oneof(
  { weight: 4, arbitrary: fc.nat({ max: 4 }) },
  { weight: 1, arbitrary: fc.nat({ max: 0xffff_ffff }) },
)
const anyFrame = fc
  .tuple(fc.nat({ max: 12 }), stream, fc.uint8Array({ maxLength: 40 }))
  .map(([command, id, data]) => frame(command, id, data))
const known = fc.constantFrom(...FRAME_INPUTS).map((input) => FRAME_FOR[input])
const frames = fc
  .array(fc.oneof(anyFrame, known), { maxLength: 10 })
  .map((list) => concatBytes(list))
const anyBytes = fc.oneof(frames, mutated(frames), fc.uint8Array({ maxLength: 100 }))

describe('the decoder of the original wire', () => {
  it('takes any bytes for frames, the very ones that an oracle reads, however they are cut', () => {
    fc.assert(
      fc.property(anyBytes, fc.boolean(), cuts, (given, opensWithAuth, places) => {
        const bytes = opensWithAuth ? concatBytes([write.auth(9), given]) : given
        const decoder = makeFrameDecoder(opensWithAuth)
        const decoded = decodeAll(decoder, cutAt(bytes, places))
        expect(decoded).toEqual(oracle(bytes, opensWithAuth))
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('the machines of the original wire under random bytes', () => {
  const somewhere = fc.constantFrom(...EVERYWHERE)

  it('give events or one protocol error, and nothing else, in every state', () => {
    fc.assert(
      fc.property(somewhere, anyBytes, cuts, ({ name, state, make }, bytes, places) => {
        const machine = make()
        const title = `${name}, ${state}`
        const events = cutAt(bytes, places).flatMap((chunk) => machine.receive(chunk, 1))
        checkEvents(events, machine, title)
        checkWrites(name, bytesOf(machine.takeWrites()))
        const unread = unreadOf(events)
        // What a machine hands over it has got, up to the last byte of the chunk it was in.
        if (unread !== undefined) expect(toHex(bytes)).toContain(toHex(unread))
        if (isOver(events)) {
          expect(machine.receive(write.ping(), 1), title).toEqual([])
          expect(machine.takeWrites(), title).toEqual([])
        }
      }),
      { numRuns: 3_000 },
    )
  })

  it('any segmentation gives the same events and the same answers', () => {
    fc.assert(
      fc.property(somewhere, anyBytes, cuts, ({ state, make }, given, places) => {
        const [whole, cut] = [make(), make()]
        // D14: the first record is judged alone, so the cuts begin behind it.
        const first = write.auth(3).subarray(0, 34)
        const authenticating = state === 'await-auth'
        if (authenticating) for (const machine of [whole, cut]) machine.receive(first, 1)
        const bytes = authenticating ? concatBytes([new Uint8Array(3), given]) : given
        checkCut(whole, cut, bytes, cutAt(bytes, places))
      }),
      { numRuns: 3_000 },
    )
  })

  it('the text of whatever comes in an alert, a SYNACK or settings is printable ASCII', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 3_000 }), (text) => {
        for (const { name, make } of EVERYWHERE) {
          for (const bytes of [write.alert(text), write.synack(1, text), write.settings(text)]) {
            for (const event of make().receive(bytes, 1)) {
              const said = event.type === 'established' ? event.peer : errorText(event)
              expect(said, name).toMatch(/^[\x20-\x7e]*$/)
            }
          }
        }
      }),
      { numRuns: 100 },
    )
  })
})

describe('the machines of the original wire under random calls', () => {
  const step: fc.Arbitrary<Step<Tested>> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.oneof(anyFrame, known).map(
        (bytes): Step<Tested> =>
          (machine, now) =>
            machine.receive(bytes, now),
      ),
    },
    { weight: 6, arbitrary: streamCalls(5) },
    { weight: 4, arbitrary: fc.constant<Step<Tested>>(openIfPossible) },
    { weight: 3, arbitrary: fc.constantFrom(...CONNECTIONS) },
    { weight: 3, arbitrary: fc.constant<Step<Tested>>((machine, now) => machine.timeout(now)) },
  )
  const start = fc.constantFrom(...EVERYWHERE.filter(({ state }) => state !== 'handed-over'))
  const schedule = schedules(step)

  it('in any order keep events in order, streams apart and timers moving', () => {
    fc.assert(
      fc.property(start, schedule, ({ name, make }, steps) => {
        const machine = make({ timeouts: { stream: 50_000 } })
        const events = runSteps(machine, steps)
        checkEvents(events, machine, name)
        checkWrites(name, bytesOf(machine.takeWrites()))
        for (const life of livesOf(events)) checkStreamEvents(life)
        if (isOver(events)) expect(machine.streamCount).toBe(0)
      }),
      { numRuns: 3_000 },
    )
  })
})

const CONNECTIONS: readonly Step<Tested>[] = [
  ...CONNECTION_STEPS,
  (machine, now) => machine.receive(write.serverSettings('v=1'), now),
  (machine, now) => machine.receive(write.settings(settingsText(1)), now),
]

function openIfPossible(machine: Tested, now: number): void {
  if (machine.mayOpen) machine.openStream(now)
}

const WITH_BODY: Readonly<Record<number, Frame['type']>> = {
  4: 'settings',
  5: 'alert',
  6: 'update-scheme',
  10: 'server-settings',
}
const OF_STREAM: Readonly<Record<number, Frame['type']>> = {
  1: 'syn',
  3: 'fin',
  8: 'heartbeat-request',
  9: 'heartbeat-response',
}

/** What the decoder must make of bytes that are all there; of the last frame what shows before its end. */
function oracle(bytes: Uint8Array, opensWithAuth: boolean): unknown[] {
  const auth = opensWithAuth ? authLength(bytes) : 0
  const { frames: whole, rest } = readFrames(bytes, auth)
  const list: unknown[] = whole.flatMap(({ command, stream, data }) =>
    expected(command, stream, data.length, data),
  )
  if (bytes.length - rest >= 7) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + rest)
    const command = view.getUint8(0)
    // Heads whose data is not needed show at once, stream data as it comes.
    if (command !== 7 && WITH_BODY[command] === undefined) {
      const data = bytes.subarray(rest + 7)
      list.push(...expected(command, view.getUint32(1), view.getUint16(5), data))
    }
  }
  if (auth === 0) return list
  const passwordHash = toHex(bytes.subarray(0, 32))
  return [{ type: 'auth', passwordHash, padding: auth - 34 }, ...list]
}

function expected(command: number, id: number, length: number, data: Uint8Array): unknown[] {
  if (command === 0) return [{ type: 'waste', length }]
  if (command === 2) {
    const head = { type: 'push', stream: id, length }
    return data.length === 0 ? [head] : [head, { type: 'push-data', stream: id, data: toHex(data) }]
  }
  if (command === 7) return [{ type: 'synack', stream: id, reason: toHex(data) }]
  if (WITH_BODY[command] !== undefined) return [{ type: WITH_BODY[command], body: toHex(data) }]
  if (OF_STREAM[command] !== undefined) return [{ type: OF_STREAM[command], stream: id }]
  return [{ type: 'unknown', command, length }]
}

/** A machine writes whole frames, none that only its peer may send, and data only where it belongs. */
function checkWrites(name: Place['name'], bytes: Uint8Array): void {
  const auth = authLength(bytes)
  const { frames: written, rest } = readFrames(bytes, auth)
  expect(rest, name).toBe(bytes.length)
  const own = name.endsWith('client') ? [0, 1, 2, 3, 4, 8, 9] : [0, 2, 3, 5, 6, 7, 8, 9, 10]
  for (const { command, data } of written) {
    if (!own.includes(command)) expect.fail(`${name} wrote command ${command}`)
    if ([1, 3, 8, 9].includes(command) && data.length > 0) expect.fail(`data on ${command}`)
    if ([4, 5, 6, 10].includes(command) && data.length === 0) expect.fail(`nothing on ${command}`)
  }
}

/** The events of each stream, cut where an id is used again. */
function livesOf(events: readonly MachineEvent[]): MachineEvent[][] {
  const lives = new Map<number, MachineEvent[][]>()
  for (const event of events) {
    if (!('stream' in event)) continue
    const list = lives.get(event.stream) ?? []
    lives.set(event.stream, list)
    if (event.type === 'open' || list.length === 0) list.push([])
    list.at(-1)?.push(event)
  }
  return [...lives.values()].flat()
}
