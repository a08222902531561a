// What users have used by what Redis says, in memory: read once, then followed entry by entry.
import { isAmount } from '../json.ts'
import type { UsedByDay } from '../usage/journal.ts'
import { Tally } from '../usage/tally.ts'

export class UsageMirror {
  readonly tally = new Tally()
  /** By user: the number of the last change that is in. */
  readonly #numbers = new Map<string, number>()

  /** @param fields as Redis has them: names and values in turn */
  set(id: string, fields: unknown): void {
    // Of those who have used nothing there is nothing to remember, however many they are.
    if (!Array.isArray(fields) || fields.length === 0) return
    const values = new Map<string, number>()
    for (let index = 0; index + 1 < fields.length; index += 2) {
      const value = Number(fields[index + 1])
      if (isAmount(value)) values.set(String(fields[index]), value)
    }
    const days: Record<string, readonly [number, number]> = {}
    for (const [field, up] of values) {
      const [, day] = /^(\d{4}-\d{2}-\d{2}):up$/.exec(field) ?? []
      if (day !== undefined) days[day] = [up, values.get(`${day}:down`) ?? 0]
    }
    this.tally.set(id, { up: values.get('up') ?? 0, down: values.get('down') ?? 0, days })
    this.#numbers.set(id, values.get('number') ?? 0)
  }

  /** An entry of the feed: what was used. */
  add(number: number, used: UsedByDay): void {
    const fresh = new Set<string>()
    for (const [day, users] of Object.entries(used)) {
      for (const [id, [up, down]] of Object.entries(users)) {
        if (!fresh.has(id) && (this.#numbers.get(id) ?? 0) >= number) continue
        fresh.add(id)
        this.#numbers.set(id, number)
        this.tally.add(id, day, up, down)
      }
    }
  }

  /** An entry of the feed: somebody begins anew. */
  reset(number: number, id: string): void {
    if ((this.#numbers.get(id) ?? 0) >= number) return
    this.#numbers.set(id, number)
    this.tally.delete(id)
  }

  /** Nobody is known any more. */
  clear(): void {
    for (const id of [...this.tally.ids]) this.tally.delete(id)
    this.#numbers.clear()
  }
}
