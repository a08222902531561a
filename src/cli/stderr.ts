// Standard error for logs: written at once while somebody reads it, and never waited for.
// Must never hold up the program for a reader that stands still, or keep lines for it without a bound.

import type { DestinationStream } from 'pino'

/** Bytes that wait for the reader at which lines are left out. */
const MAX_WAITING = 65_536

/** What of a stream is used here; that of Node's own may be told not to block. */
interface Output {
  readonly writableLength: number
  write(text: string): boolean
  on(event: 'drain' | 'error', listener: () => void): unknown
  readonly _handle?: { setBlocking?(blocking: boolean): unknown } | null
}

export class StderrDestination implements DestinationStream {
  readonly #output: Output
  #dropped = 0

  /** @param onDropped told how many lines were left out, once there is room again */
  constructor(onDropped: (lines: number) => void, output: Output = process.stderr) {
    this.#output = output
    // Node waits on pipes and terminals; files have no handle and do not make anybody wait.
    output._handle?.setBlocking?.(false)
    output.on('error', () => {})
    output.on('drain', () => {
      const dropped = this.#dropped
      this.#dropped = 0
      if (dropped > 0) onDropped(dropped)
    })
  }

  write(line: string): void {
    if (this.#output.writableLength > MAX_WAITING) this.#dropped += 1
    else this.#output.write(line)
  }
}
