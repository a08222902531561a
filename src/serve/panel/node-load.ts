// How busy this machine is, as panels want to be told.
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { cpus, freemem, totalmem } from 'node:os'

/** In bytes. */
interface Share {
  readonly total: number
  readonly used: number
}

export interface NodeLoad {
  /** In percent, since the last call. */
  readonly cpu: number
  readonly mem: Share
  readonly swap: Share
  readonly disk: Share
}

export class LoadMeter {
  readonly #folder: string
  #before = cpuTimes()

  /** @param folder on the disk that counts */
  constructor(folder: string) {
    this.#folder = folder
  }

  async read(): Promise<NodeLoad> {
    const before = this.#before
    const now = (this.#before = cpuTimes())
    const all = now.all - before.all
    const cpu = all > 0 ? Math.round((1_000 * (now.busy - before.busy)) / all) / 10 : 0
    const mem = { total: totalmem(), used: totalmem() - freemem() }
    return { cpu, mem, swap: readSwap(), disk: await this.#readDisk() }
  }

  async #readDisk(): Promise<Share> {
    try {
      const { bsize, blocks, bfree } = await statfs(this.#folder)
      return { total: bsize * blocks, used: bsize * (blocks - bfree) }
    } catch {
      return { total: 0, used: 0 }
    }
  }
}

/** In milliseconds, over all cores. */
function cpuTimes(): { readonly all: number; readonly busy: number } {
  const times = cpus().map((core) => core.times)
  const idle = times.reduce((sum, one) => sum + one.idle, 0)
  const all = times.reduce(
    (sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq,
    0,
  )
  return { all, busy: all - idle }
}

function readSwap(): Share {
  try {
    const text = readFileSync('/proc/meminfo', 'utf8')
    const bytesOf = (name: string) =>
      1_024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0)
    const total = bytesOf('SwapTotal')
    return { total, used: total - bytesOf('SwapFree') }
  } catch {
    return { total: 0, used: 0 }
  }
}
