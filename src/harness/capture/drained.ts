// Waiting for a Writable that was given more than it wants to hold.
// Must never leave a listener behind.

import type { Writable } from 'node:stream'

/** Resolves when `writable` takes more, or never will. */
export function drained(writable: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      writable.off('drain', done).off('close', done)
      resolve()
    }
    writable.on('drain', done).on('close', done)
  })
}
