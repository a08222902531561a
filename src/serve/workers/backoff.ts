// How long to wait before a worker that died is replaced.
// Must never wait for one that has served for a while: its clients are on their way back.

/** Who has lived so long has served, in milliseconds. */
const LONG_LIFE = 10_000

/** The wait after the second short life in a row, which doubles with each, and the longest, in milliseconds. */
const FIRST_WAIT = 500
const LONGEST_WAIT = 30_000

export class Backoff {
  #shortLives = 0

  /**
   * A worker has died.
   *
   * @param lived milliseconds
   * @returns milliseconds; 0 after a long life, and after the first short one
   */
  next(lived: number): number {
    if (lived >= LONG_LIFE) this.#shortLives = 0
    const wait = this.#shortLives === 0 ? 0 : FIRST_WAIT * 2 ** (this.#shortLives - 1)
    this.#shortLives += 1
    return Math.min(wait, LONGEST_WAIT)
  }
}
