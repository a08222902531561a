// What a mutant is: a fault that, planted, a row of the conformance matrix must show.

export interface Mutant {
  /** Chapter and section of the row, `Chapter / Section`, and the words that it quotes. */
  readonly section: string
  readonly quote: string
  /** A source that the row names. */
  readonly file: string
  /** Stands in it once. */
  readonly find: string
  /** What it says instead. */
  readonly put: string
}
