// Reading the fields of a JSON object that somebody else wrote, each with what it must be.

/** Makes the error to throw: its message is one line. */
type Fail = (problem: string) => Error

/** @throws what `fail` makes when `text` is not JSON */
export function parseJson(text: string, fail: Fail): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw fail('it is not JSON (which knows no NaN, no comments, no comma behind the last item)')
  }
}

/** One object. Every method throws what `fail` makes for a field that is not as it must be. */
export class JsonFields {
  readonly #fields: ReadonlyMap<string, unknown>
  readonly #where: string
  readonly #fail: Fail

  /**
   * @param known all fields that may stand there
   * @param where what the object is, for messages, such as `event 3`
   */
  constructor(value: unknown, known: readonly string[], where: string, fail: Fail) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw fail(`${where} must be an object, {…}`)
    }
    this.#fields = new Map(Object.entries(value))
    this.#where = where
    this.#fail = fail
    for (const field of this.#fields.keys()) {
      if (!known.includes(field)) {
        throw this.problem(`there is no field "${field.slice(0, MAX_SHOWN)}" in it`)
      }
    }
  }

  /** An error that begins with where the object is. */
  problem(message: string): Error {
    return this.#fail(`${this.#where}: ${message}`)
  }

  has(field: string): boolean {
    return this.#fields.has(field)
  }

  /** The value as it stands there. */
  raw(field: string): unknown {
    return this.#fields.get(field)
  }

  /** A text of `least` to `most` characters. */
  text(field: string, least: number, most: number): string {
    const value = this.#fields.get(field)
    if (typeof value === 'string' && value.length >= least && value.length <= most) return value
    throw this.problem(`"${field}" must be a text of ${least} to ${most} characters`)
  }

  /** A number from `least` to `most`. */
  number(field: string, least: number, most: number): number {
    const value = this.#fields.get(field)
    if (typeof value === 'number' && value >= least && value <= most) return value
    throw this.problem(`"${field}" must be a number from ${least} to ${most}`)
  }

  /** A whole number from `least` to `most`. */
  whole(field: string, least: number, most: number): number {
    const value = this.#fields.get(field)
    if (Number.isInteger(value) && Number(value) >= least && Number(value) <= most) {
      return Number(value)
    }
    throw this.problem(`"${field}" must be a whole number from ${least} to ${most}`)
  }

  /** True or false; false when it is not there. */
  flag(field: string): boolean {
    const value = this.#fields.get(field) ?? false
    if (typeof value === 'boolean') return value
    throw this.problem(`"${field}" must be true or false`)
  }

  /** One of a few texts. */
  choice<Choice extends string>(field: string, choices: readonly Choice[]): Choice {
    const value = this.#fields.get(field)
    const found = choices.find((choice) => choice === value)
    if (found !== undefined) return found
    const named = choices.map((choice) => `"${choice}"`).join(' or ')
    throw this.problem(`"${field}" must be ${named}`)
  }

  /** A list of at most `most` items. */
  list(field: string, most: number): readonly unknown[] {
    const value = this.#fields.get(field)
    if (!Array.isArray(value)) throw this.problem(`"${field}" must be a list, […]`)
    if (value.length <= most) return value
    throw this.problem(`"${field}" has ${value.length} items; there may be ${most}`)
  }
}

/** Most characters of a stranger's text that a message repeats. */
const MAX_SHOWN = 40
