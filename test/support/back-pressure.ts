// How much a writer takes whose reader stands still.
import type { Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'

/** Writes until nothing has been taken for a tenth of a second, 256 MiB at most; resolves with the bytes taken. */
export async function writeUntilHeld(writer: Writable): Promise<number> {
  const chunk = Buffer.alloc(65_536)
  let accepted = 0
  const produce = (): void => {
    while (accepted < 256 << 20) {
      accepted += chunk.length
      if (!writer.write(chunk)) return
    }
  }
  writer.on('drain', produce)
  produce()
  let before = -1
  while (before !== accepted) {
    before = accepted
    await setTimeout(100)
  }
  return accepted
}
