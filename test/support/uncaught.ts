// Exceptions that nobody caught, taken away from the test runner for the length of a test.
import { onTestFinished } from 'vitest'

/** What reaches `uncaughtException` and `unhandledRejection` from now on, in order. */
export function takeUncaught(): unknown[] {
  const taken: unknown[] = []
  const take = (error: unknown): void => void taken.push(error)
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    const others = process.rawListeners(event) as ((...args: unknown[]) => void)[]
    process.removeAllListeners(event)
    process.on(event, take)
    onTestFinished(() => {
      process.off(event, take)
      for (const listener of others) process.on(event, listener)
    })
  }
  return taken
}
