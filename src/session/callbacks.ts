// What an application gives: callbacks that may throw, listeners that may, promises that may not settle.
// Must never let one of them harm more than itself.
import type { EventEmitter } from 'node:events'

/** Settles as `promise` does, or rejects with the signal's reason as soon as it is aborted. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/**
 * Calls what an application gave. What it throws becomes an uncaught exception, once, and whoever called goes
 * on with `undefined`. (What a promise of it rejects with is an unhandled rejection without our help.)
 */
export function guarded<T>(callback: () => T): T | undefined {
  try {
    return callback()
  } catch (error) {
    throwLater(error)
    return undefined
  }
}

/** Emits an event to every listener, whatever the others throw. @returns whether there was one */
export function tell(
  emitter: Pick<EventEmitter, 'rawListeners'>,
  event: string,
  ...args: readonly unknown[]
): boolean {
  const listeners = emitter.rawListeners(event)
  for (const listener of listeners) {
    guarded(() => Reflect.apply(listener, emitter, args) as unknown)
  }
  return listeners.length > 0
}

/** Throws where nobody catches it, as an exception of a listener is thrown. */
export function throwLater(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
