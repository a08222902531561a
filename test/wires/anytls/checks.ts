// What must hold of anything that a machine tells or writes, whatever happened to it.
import { expect } from 'vitest'
import { AnyTlsError } from '../../../src/errors.ts'
import type { MachineEvent } from '../../../src/engine/machine.ts'
import { readFrames } from '../../support/v1-frames.ts'
import type { Place, Tested } from './states.ts'

/** The end comes once and last, and only violations and named codes are errors. */
export function checkEvents(
  events: readonly MachineEvent[],
  machine: Pick<Tested, 'deadline' | 'streamCount'>,
  title: string,
): void {
  const end = events.findIndex(({ type }) => type === 'closed' || type === 'handover')
  if (end >= 0) {
    expect(end, title).toBe(events.length - 1)
    expect(machine.deadline, title).toBe(Infinity)
    expect(machine.streamCount, title).toBe(0)
  }
  for (const event of events) {
    if (event.type === 'data') expect(event.data.length, title).toBeGreaterThan(0)
    if (event.type === 'close' || event.type === 'closed') {
      const { error } = event
      if (error !== undefined) {
        expect(error, title).toBeInstanceOf(AnyTlsError)
        expect(error.message, title).toMatch(/^[\x20-\x7e]*$/)
      }
    }
  }
}

/** Streams have events between their opening and their one close, and at no other time. */
export function checkStreamEvents(events: readonly MachineEvent[]): void {
  const closed = new Set<number>()
  const ended = new Set<number>()
  for (const event of events) {
    if (!('stream' in event)) continue
    if (closed.has(event.stream)) expect.fail(`${event.type} after the close of ${event.stream}`)
    if (event.type === 'close') closed.add(event.stream)
    if (event.type === 'end') ended.add(event.stream)
    if (event.type === 'data' && ended.has(event.stream)) expect.fail('data after end')
  }
}

/** A machine writes whole frames, and none that only its peer may send (D9). */
export function checkWrites(name: Place['name'], bytes: Uint8Array): void {
  const { frames, stopped } = readFrames(bytes)
  expect(stopped).toBe('end')
  const server = name !== 'client'
  for (const { type } of frames) {
    const fromClient = type === 0x00 || type === 0x03 || (type >= 0x0c && type <= 0x0f)
    const fromServer = type === 0x04 || type === 0x06 || type === 0x10
    if (server ? fromClient : fromServer) expect.fail(`${name} wrote a frame of type ${type}`)
  }
}

/** How often the bytes of a secret are read by what is done with it. */
export function readsOf(secret: Uint8Array, use: (counting: Uint8Array) => unknown): number {
  let count = 0
  const counting = new Proxy(secret, {
    get: (target, key) => {
      count += 1
      return Reflect.get(target, key) as unknown
    },
  })
  use(counting)
  return count
}
