// What ails a place that users are kept at elsewhere: said once, in one line, until it is over.

/** Different faults of one kind that are said before it is well again. */
const MAX_SAID = 20

interface Fault {
  readonly now: string
  readonly said: Set<string>
}

export class Trouble {
  readonly #warn: (problem: string) => void
  readonly #place: string
  /** By what is being tried: of each the fault that it last met, and those that were said since it was well. */
  readonly #faults = new Map<string, Fault>()

  /** @param place what people call it, as in "the panel at panel.example.org" */
  constructor(place: string, warn: (problem: string) => void) {
    this.#place = place
    this.#warn = warn
  }

  /** What is wrong now, if anything is: the newest of it. */
  get now(): string | undefined {
    return [...this.#faults.values()].at(-1)?.now
  }

  /** @param task one of few names of what was tried */
  met(task: string, problem: string): void {
    const { said } = this.#faults.get(task) ?? { said: new Set() }
    const isNew = ![...this.#faults.values()].some((fault) => fault.said.has(problem))
    this.#faults.delete(task)
    this.#faults.set(task, { now: problem, said })
    if (said.size < MAX_SAID) said.add(problem)
    if (isNew && said.has(problem)) this.#warn(`${this.#place}: ${problem}`)
  }

  over(task: string): void {
    if (!this.#faults.delete(task) || this.#faults.size > 0) return
    this.#warn(`${this.#place}: all is well again`)
  }
}
