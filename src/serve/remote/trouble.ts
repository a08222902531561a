// What ails a place that users are kept at elsewhere: said once, in one line, until it is over.
// Must never fill the log with a fault that lasts.

export class Trouble {
  readonly #warn: (problem: string) => void
  readonly #place: string
  /** By what is being tried: of each the fault that it last met. */
  readonly #faults = new Map<string, string>()

  /** @param place what people call it, as in "the panel at panel.example.org" */
  constructor(place: string, warn: (problem: string) => void) {
    this.#place = place
    this.#warn = warn
  }

  /** What is wrong now, if anything is: the newest of it. */
  get now(): string | undefined {
    return [...this.#faults.values()].at(-1)
  }

  /** @param task one of few names of what was tried */
  met(task: string, problem: string): void {
    const before = this.#faults.get(task)
    if (before === problem) return
    const known = [...this.#faults.values()].includes(problem)
    this.#faults.delete(task)
    this.#faults.set(task, problem)
    if (!known) this.#warn(`${this.#place}: ${problem}`)
  }

  over(task: string): void {
    if (!this.#faults.delete(task) || this.#faults.size > 0) return
    this.#warn(`${this.#place}: all is well again`)
  }
}
