// Delivers to Writes: shaped while the quota lasts, passed through and joined after it (draft, Scheme v0;
// D28, D29, D33).
// Must never copy what is passed through.
import { Shaper } from '../shaping/shaper.ts'
import type { PaddingFormat, RandomInt } from '../shaping/shaper.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { concatBytes } from '../codec/bytes.ts'
import type { Write } from './machine.ts'

// Never the list itself: that one goes on to grow.
const NOTHING: readonly Write[] = Object.freeze([])

export class Output {
  #shaper: Shaper | undefined
  /** Deliver 0 has not left yet. */
  #atDeliver0 = false
  #writes: Write[] = []
  #unshaped: Uint8Array[] = []
  #unshapedBytes = 0

  /** Whether the next Deliver will be shaped. */
  get shaping(): boolean {
    return this.#shaper?.active ?? false
  }

  /** Shapes from the next Deliver on, which is Deliver 0. */
  startShaping(scheme: Scheme, randomInt: RandomInt, padding: PaddingFormat): Shaper {
    this.#shaper = new Shaper(scheme, randomInt, padding)
    this.#atDeliver0 = true
    return this.#shaper
  }

  /** A stream is about to be opened; a scheme may begin again with it. */
  streamOpened(): void {
    this.#shaper?.streamOpened()
  }

  /**
   * One Deliver: a Frame, or those of Deliver 0 together.
   *
   * @param lift the scheme must not leave it a tiny Write: it carries control frames alone
   */
  deliver(parts: readonly Uint8Array[], lift = false): void {
    // Deliver 0 is a Write of its own even under a scheme that shapes nothing (D28).
    if (this.#shaper !== undefined && (this.#shaper.active || this.#atDeliver0)) {
      this.#atDeliver0 = false
      this.#closeUnshaped()
      for (const write of this.#shaper.deliver(concatBytes(parts), { control: lift })) {
        this.#writes.push({ parts: [write], bytes: write.length, shaped: true })
      }
      return
    }
    for (const part of parts) {
      this.#unshaped.push(part)
      this.#unshapedBytes += part.length
    }
  }

  /** Takes everything that is to be written, in order. */
  take(): readonly Write[] {
    this.#closeUnshaped()
    if (this.#writes.length === 0) return NOTHING
    const writes = this.#writes
    this.#writes = []
    return writes
  }

  #closeUnshaped(): void {
    if (this.#unshapedBytes === 0) return
    this.#writes.push({ parts: this.#unshaped, bytes: this.#unshapedBytes, shaped: false })
    this.#unshaped = []
    this.#unshapedBytes = 0
  }
}
