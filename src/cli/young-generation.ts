// How far Node's young generation may grow in a client, a server or a worker. Node lets it grow to 128 MiB, in which what
// a request left behind lies about; beyond 16 MiB that spares little (docs/speed.md).

import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** Both halves of it, in bytes. */
const LIMIT = 16 * 1_024 * 1_024

/**
 * Looks after each collection and lets it grow no more while it has {@link LIMIT}. V8 takes the most it may have at its
 * start alone, but asks each time by how much; so a shebang or another process need not be. What whoever started this
 * process chose stays.
 */
export function boundYoungGeneration(): void {
  const chosen = [...process.execArgv, process.env.NODE_OPTIONS ?? '']
  if (chosen.some((flags) => /semi[-_]space/.test(flags))) return
  let grows = true
  const observer = new PerformanceObserver(() => {
    const size = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')
    const mayGrow = (size?.space_size ?? LIMIT) < LIMIT
    if (mayGrow === grows) return
    grows = mayGrow
    setFlagsFromString(`--semi-space-growth-factor=${grows ? 2 : 1}`)
  })
  observer.observe({ entryTypes: ['gc'] })
}
