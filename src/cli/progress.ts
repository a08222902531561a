// Tells on standard error what a long command is at.
// Must never say a word when the work is done soon.

import { escapeControls } from './printable.ts'

/** How long is silence, in ms. */
const PATIENCE = 2_000

/** From its making on, at most one line in two seconds. */
export class Progress {
  #told = performance.now()

  /** @param step what comes now */
  tell(step: string): void {
    const now = performance.now()
    if (now - this.#told < PATIENCE) return
    this.#told = now
    process.stderr.write(`anytls: ${escapeControls(step)} …\n`)
  }
}
