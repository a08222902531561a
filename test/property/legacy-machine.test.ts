// The original wire under random frames, random bytes, random cuts and random calls.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeFrameDecoder } from '../../src/wires/legacy/frame-decoder.ts'
import type { FrameReader } from '../../src/codec/frame-reader.ts'
import type { Frame } from '../../src/wires/legacy/frame.ts'
import { FRAME_INPUTS } from '../../src/wires/legacy/state-tables.ts'
import type { MachineEvent } from '../../src/engine/machine.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { checkEvents, checkStreamEvents, isOver } from '../wires/anytls/checks.ts'
import { authLength, frame, readFrames, write } from '../wires/legacy/frames.ts'
import { EVERYWHERE, FRAME_FOR } from '../wires/legacy/states.ts'
import type { Place, Tested } from '../wires/legacy/states.ts'
import { bytesOf, settingsText, unreadOf } from '../wires/legacy/support.ts'
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
  const id = fc.integer({ min: 1, max: 5 })
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.oneof(anyFrame, known).map(
        (bytes): Step =>
          (machine, now) =>
            machine.receive(bytes, now),
      ),
    },
    { weight: 6, arbitrary: fc.tuple(fc.constantFrom(...STREAM_CALLS), id).map(callStep) },
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
      fc.property(start, schedule, ({ name, make }, steps) => {
        const machine = make({ timeouts: { stream: 50_000 } })
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
        for (const life of livesOf(events)) checkStreamEvents(life)
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
  (machine, now) => machine.receive(write.serverSettings('v=1'), now),
  (machine, now) => machine.receive(write.settings(settingsText(1)), now),
]

const STREAM_CALLS = ['accept', 'send', 'finish', 'reset'] as const

function callStep([call, id]: [(typeof STREAM_CALLS)[number], number]): Step {
  return (machine, now) => {
    switch (call) {
      case 'accept':
        machine.acceptStream(id, now)
        return undefined
      case 'send':
        if (machine.credit(id) > 0) machine.sendData(id, [new Uint8Array(500)], 500, now)
        return undefined
      case 'finish':
        return machine.finishStream(id, now)
      case 'reset':
        return machine.resetStream(id, 5, 'no route', now)
    }
  }
}

function openIfPossible(machine: Tested, now: number): void {
  if (machine.mayOpen) machine.openStream(now)
}

/** All frames of the chunks, the data of a PSH joined. */
function decodeAll(decoder: FrameReader<Frame>, chunks: readonly Uint8Array[]): unknown[] {
  const list: Frame[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let one = decoder.next(); one !== undefined; one = decoder.next()) {
      const last = list.at(-1)
      if (one.type === 'push-data' && last?.type === 'push-data') {
        list[list.length - 1] = { ...one, data: concatBytes([last.data, one.data]) }
      } else {
        list.push(one)
      }
    }
  }
  return list.map(shown)
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

/** A frame with its bytes as hex. */
function shown(one: Frame): unknown {
  const fields = Object.entries(one) as [string, string | number | Uint8Array][]
  return Object.fromEntries(
    fields.map(([key, value]) => [key, value instanceof Uint8Array ? toHex(value) : value]),
  )
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

function errorText(event: MachineEvent): string {
  if (!('error' in event) || event.error === undefined) return ''
  const { message } = event.error
  return 'reason' in event.error ? `${message} ${String(event.error.reason)}` : message
}

/** Events without what differs by segmentation: data joined, errors and bytes as text. */
function summary(events: readonly MachineEvent[], rest: readonly Uint8Array[]): string[] {
  const lines: string[] = []
  let open = -1
  for (const event of events) {
    if (event.type === 'data') {
      const data = toHex(event.data)
      if (open === event.stream) lines.push(`${lines.pop() ?? ''}${data}`)
      else lines.push(`data ${event.stream} ${data}`)
      open = event.stream
      continue
    }
    open = -1
    if (event.type === 'handover') {
      const unread = concatBytes([...event.handover.unread, ...rest])
      lines.push(`handover ${event.handover.cause} ${toHex(unread)}`)
    } else {
      lines.push(JSON.stringify({ ...event, error: errorText(event) }))
    }
  }
  return lines
}
