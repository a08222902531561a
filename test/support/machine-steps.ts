// Random calls on a machine, with time between them, and what must be the same of what it tells however its input was cut.
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Machine, MachineEvent } from '../../src/engine/machine.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { toHex } from '../codec/vectors.ts'

/** A machine whose state shows. */
export type Shown = Machine & { readonly current: string }

/** A call; it may return events. */
export type Step<M extends Machine> = (machine: M, now: number) => unknown

/** What an application, the clock and the connection can do to any machine. */
export const CONNECTION_STEPS: readonly Step<Machine>[] = [
  (machine, now) => machine.close(now),
  (machine, now) => machine.ping(now),
  (machine, now) => machine.setReading(false, now),
  (machine, now) => machine.setReading(true, now),
  (machine, now) => machine.progress(now),
  (machine, now) => machine.endOfInput(now),
  (machine, now) => machine.abort(0, now),
]

/** What an application can do to one stream. */
const STREAM_CALLS: readonly ((machine: Machine, stream: number, now: number) => unknown)[] = [
  (machine, stream, now) => machine.acceptStream(stream, now),
  (machine, stream, now) => {
    const bytes = Math.min(1_000, machine.credit(stream))
    if (bytes > 0) machine.sendData(stream, [new Uint8Array(bytes)], bytes, now)
  },
  (machine, stream, now) => machine.finishStream(stream, now),
  (machine, stream, now) => machine.resetStream(stream, 5, 'no route', now),
  (machine, stream, now) => machine.consumed(stream, 20_000, now),
]

/** A call on one of the streams 1 to `most`. */
export function streamCalls(most: number): fc.Arbitrary<Step<Machine>> {
  return fc.tuple(fc.constantFrom(...STREAM_CALLS), fc.integer({ min: 1, max: most })).map(
    ([call, stream]) =>
      (machine, now) =>
        call(machine, stream, now),
  )
}

/** Up to 60 steps, each with the milliseconds before it. */
export function schedules<M extends Machine>(step: fc.Arbitrary<Step<M>>) {
  return fc.array(fc.tuple(step, fc.oneof(fc.constant(0), fc.nat({ max: 20_000 }))), {
    maxLength: 60,
    size: 'max',
  })
}

/** Takes the steps, with what falls due between them. Fails when a timer is due again at once. */
export function runSteps<M extends Machine>(
  machine: M,
  steps: readonly (readonly [Step<M>, number])[],
): MachineEvent[] {
  const events: MachineEvent[] = []
  let now = 0
  for (const [run, wait] of steps) {
    now += wait
    while (machine.deadline <= now) {
      const due = machine.deadline
      events.push(...machine.timeout(due))
      if (machine.deadline <= due) expect.fail('a timer that is due again at once')
    }
    events.push(...eventsOf(run(machine, now)))
  }
  return events
}

/** The events that a call has returned, if it returns any. */
export function eventsOf(returned: unknown): readonly MachineEvent[] {
  return Array.isArray(returned) ? (returned as MachineEvent[]) : []
}

/** The message of an event's error, with the reason that it carries; empty where there is none. */
export function errorText(event: MachineEvent): string {
  if (!('error' in event) || event.error === undefined) return ''
  const { message } = event.error
  return 'reason' in event.error ? `${message} ${String(event.error.reason)}` : message
}

/**
 * Events without what differs by segmentation: data joined, errors and bytes as text. `rest` is input that was not
 * given any more, behind a handover.
 */
export function summary(
  events: readonly MachineEvent[],
  rest: readonly Uint8Array[] = [],
): string[] {
  const lines: string[] = []
  let open = -1
  for (const event of events) {
    if (event.type === 'data') {
      if (open === event.stream) lines.push(`${lines.pop() ?? ''}${toHex(event.data)}`)
      else lines.push(`data ${event.stream} ${toHex(event.data)}`)
      open = event.stream
      continue
    }
    open = -1
    if (event.type === 'handover') {
      const unread = concatBytes([...event.handover.unread, ...rest])
      lines.push(`handover ${event.handover.cause} ${toHex(unread)}`)
    } else if ('error' in event) {
      lines.push(JSON.stringify({ ...event, error: errorText(event) }))
    } else {
      lines.push(JSON.stringify(event))
    }
  }
  return lines
}

/** Of two machines in the same state, one gets all bytes at once and one in pieces: both tell, say and are the same. */
export function checkCut(
  whole: Shown,
  cut: Shown,
  bytes: Uint8Array,
  pieces: readonly Uint8Array[],
): void {
  const atOnce = summary(bytes.length > 0 ? whole.receive(bytes, 1) : [])
  const events: MachineEvent[] = []
  const rest = [...pieces]
  while (rest.length > 0 && !isOver(events)) events.push(...cut.receive(rest.shift()!, 1))
  expect(summary(events, rest)).toEqual(atOnce)
  expect(cut.current).toBe(whole.current)
  expect(toHex(written(cut))).toBe(toHex(written(whole)))
}

/** Whether the connection is over: closed, or handed to another owner. */
export function isOver(events: readonly MachineEvent[]): boolean {
  return events.some(({ type }) => type === 'closed' || type === 'handover')
}

function written(machine: Machine): Uint8Array {
  return concatBytes(machine.takeWrites().flatMap(({ parts }) => parts))
}
