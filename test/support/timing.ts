// Compares what ways to do something cost, on a machine where others run, too.

/** Runs of a way that are timed at once: enough that the clock's steps do not count. */
const RUNS = 200

/** Turns before the first look, and at most: what costs more for good does so in every one of them. */
const [FEW, MANY] = [100, 3_000]

/**
 * How many times the quickest way's time the slowest takes. Of each way its best time counts, taken by turns:
 * what else runs only adds, and misses some. Looks go on while the result is above `enough`.
 */
export function slowestToQuickest(
  ways: Readonly<Record<string, () => unknown>>,
  enough: number,
): number {
  const runs = Object.values(ways)
  const best = runs.map(() => Infinity)
  const result = () => Math.max(...best) / Math.min(...best)
  for (let turn = 0; turn < FEW || (turn < MANY && result() > enough); turn += 1) {
    for (const [index, run] of runs.entries()) {
      const started = performance.now()
      for (let count = 0; count < RUNS; count += 1) run()
      best[index] = Math.min(best[index]!, performance.now() - started)
    }
  }
  return result()
}
