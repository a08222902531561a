// A share of a processor core for a process, by the control groups of Linux, so that a server is what limits a
// measurement and not the load beside it. As root.
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const ROOT = '/sys/fs/cgroup'
/** Microseconds in which a share is given out. */
const PERIOD = 20_000

/** Where groups stand and what bounds one: version 1 of the kernel's interface, or version 2. */
const [place, file, valueOf] = existsSync(join(ROOT, 'cgroup.controllers'))
  ? [ROOT, 'cpu.max', (quota: number) => `${quota} ${PERIOD}`]
  : [join(ROOT, 'cpu'), 'cpu.cfs_quota_us', String]

export class CoreShares {
  readonly #groups: string[] = []

  /**
   * @param share of one core, above 0; all threads of the process have it together
   * @throws Error of the file system where there are no control groups, or without the right to make one
   */
  give({ pid }: { readonly pid: number }, share: number): void {
    const group = join(place, `anytls-bench-${pid}`)
    mkdirSync(group)
    this.#groups.push(group)
    if (file === 'cpu.cfs_quota_us') writeFileSync(join(group, 'cpu.cfs_period_us'), `${PERIOD}`)
    writeFileSync(join(group, file), valueOf(Math.round(share * PERIOD)))
    writeFileSync(join(group, 'cgroup.procs'), `${pid}`)
  }

  /** To be called when the processes are told to end: waits for the last of them. */
  async remove(): Promise<void> {
    for (const group of this.#groups.splice(0)) {
      for (;;) {
        try {
          rmdirSync(group)
          break
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error
          await sleep(50)
        }
      }
    }
  }
}
