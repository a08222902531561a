// A pool of sessions in memory, with a fake clock, whose dials end when the test says so.
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import { SessionPool } from '../../src/session/pool.ts'
import type { SessionPoolOptions } from '../../src/session/pool.ts'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { steadyRandomInt } from './seeded-random.ts'
import { makeSessionPair } from './session-pair.ts'
import type { SessionPair } from './session-pair.ts'

interface Dial {
  readonly signal: AbortSignal
  /** Makes the session stand. */
  succeed(): SessionPair
  fail(error: Error): void
}

export interface Bench {
  readonly pool: SessionPool
  readonly clock: FakeClock
  /** Dials that were asked for, in order. */
  readonly dials: Dial[]
  /** Sessions that stand or stood, in the order of their dials. */
  readonly pairs: SessionPair[]
}

/** A pool whose dials succeed at once, or with `manual` when the test says so. */
export function makePool(
  options: Partial<SessionPoolOptions> & {
    readonly manual?: boolean
    readonly autoAccept?: boolean
  } = {},
): Bench {
  const { manual = false, autoAccept = true, ...poolOptions } = options
  const clock = new FakeClock()
  const dials: Dial[] = []
  const pairs: SessionPair[] = []
  const pool = new SessionPool({
    clock,
    randomInt: steadyRandomInt(1),
    connect: (signal) =>
      new Promise<Session>((resolve, reject) => {
        const dial: Dial = {
          signal,
          succeed() {
            const pair = makeSessionPair({ clock, session: { autoAccept } })
            pair.server.on('stream', (stream) => stream.on('end', () => stream.end()).resume())
            pairs.push(pair)
            resolve(pair.client)
            return pair
          },
          fail: reject,
        }
        signal.addEventListener('abort', () => reject(signal.reason as Error))
        dials.push(dial)
        if (!manual) dial.succeed()
      }),
    ...poolOptions,
  })
  onTestFinished(() => pool.destroy())
  return { pool, clock, dials, pairs }
}

/** Opens a stream; where it waits for a dial that the test makes, that one takes `distance` milliseconds. */
export async function openFrom(
  { pool, dials, clock, pairs }: Bench,
  distance: number,
): Promise<Stream> {
  const opened = pool.openStream()
  await settle()
  if (dials.length > pairs.length) {
    await clock.advance(distance)
    dials.at(-1)?.succeed()
  }
  return opened
}

/** Ends streams from both sides. */
export async function finish(...streams: readonly Stream[]): Promise<void> {
  for (const stream of streams) stream.resume().end()
  await Promise.all(streams.map((stream) => once(stream, 'close')))
  await settle()
}
