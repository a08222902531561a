// The rates of users who have sessions at workers: each worker gets a share, by what is taken there.
// Must never give the workers together more than the rate.
import type { SessionPaces } from '../../session/pace.ts'
import type { User } from '../users/user.ts'
import type { UserRates } from './messages.ts'

/** Shares that differ by less than this part are the same. */
const SAME = 0.01

/** What an idle worker keeps of the rate, all of them together: its first bytes need not wait for the next sharing. */
const IDLE_PART = 0.05

/** Who has taken so much of a share wants more. */
const HUNGRY = 0.7

/** What somebody who wants no more keeps beyond what was taken. */
const ROOM = 1.25

interface Share {
  /** What there was to take since the last sharing, in bytes a second. */
  readonly given: number
  /** What of it was taken, in bytes a second. */
  readonly taken: number
}

export interface RatedDesk {
  send(message: { readonly type: 'rates'; readonly rates: readonly UserRates[] }): void
}

interface Part {
  sessions: number
  up: Share
  down: Share
}

export class WorkerRates {
  readonly #paces: (user: User) => SessionPaces
  readonly #users = new Map<string, Map<RatedDesk, Part>>()

  /** @param paces what all workers together keep to */
  constructor(paces: (user: User) => SessionPaces) {
    this.#paces = paces
  }

  /** A session has come to a worker. @returns whether it is the first of the user there */
  enter({ id }: User, desk: RatedDesk): boolean {
    let parts = this.#users.get(id)
    if (parts === undefined) this.#users.set(id, (parts = new Map<RatedDesk, Part>()))
    const part = parts.get(desk)
    if (part !== undefined) {
      part.sessions += 1
      return false
    }
    // Whoever has just come is taken for one who wants something.
    const nothing = { given: 0, taken: 0 }
    parts.set(desk, { sessions: 1, up: nothing, down: nothing })
    return true
  }

  /** A session has left. */
  leave({ id }: User, desk: RatedDesk): void {
    const parts = this.#users.get(id)
    const part = parts?.get(desk)
    if (parts === undefined || part === undefined) return
    part.sessions -= 1
    if (part.sessions > 0) return
    parts.delete(desk)
    if (parts.size === 0) this.#users.delete(id)
  }

  /** What a user takes at a worker now, in bytes a second. */
  taken([id, up, down]: UserRates, desk: RatedDesk): void {
    const part = this.#users.get(id)?.get(desk)
    if (part === undefined) return
    part.up = { ...part.up, taken: up }
    part.down = { ...part.down, taken: down }
  }

  shareAll(userOf: (id: string) => User | undefined): void {
    for (const id of this.#users.keys()) {
      const user = userOf(id)
      if (user !== undefined && (user.maxUp !== undefined || user.maxDown !== undefined)) {
        this.share(user)
      }
    }
  }

  /** Shares the rates of a user out anew. */
  share(user: User): void {
    const parts = [...(this.#users.get(user.id) ?? [])]
    if (parts.length === 0) return
    const { receive, send } = this.#paces(user)
    const changed = new Set<RatedDesk>()
    const shareOut = (direction: 'up' | 'down', rate: number): void => {
      const shares = parts.map(([, part]) => part[direction])
      const next = rate === Infinity ? shares.map(() => Infinity) : shareRate(rate, shares)
      for (const [index, [desk, part]] of parts.entries()) {
        const { given: before, taken } = part[direction]
        const given = next[index] ?? before
        if (given === before || Math.abs(given - before) < before * SAME) continue
        part[direction] = { given, taken }
        changed.add(desk)
      }
    }
    shareOut('up', receive?.rate ?? Infinity)
    shareOut('down', send?.rate ?? Infinity)
    for (const [desk, { up, down }] of parts) {
      if (changed.has(desk)) desk.send({ type: 'rates', rates: [[user.id, up.given, down.given]] })
    }
  }
}

/** The next shares of `rate`, which they add up to. */
export function shareRate(rate: number, shares: readonly Share[]): readonly number[] {
  const least = (rate * IDLE_PART) / shares.length
  const isHungry = shares.map(({ given, taken }) => taken >= given * HUNGRY)
  const wanted = shares.map(({ taken }, index) =>
    isHungry[index] === true ? 0 : Math.max(least, taken * ROOM),
  )
  const sum = wanted.reduce((total, want) => total + want, 0)
  // Shares that were given when the rate was higher may be more than there is.
  if (sum >= rate) return shares.map(() => rate / shares.length)
  const hungry = isHungry.filter(Boolean).length
  const part = (rate - sum) / (hungry === 0 ? shares.length : hungry)
  return wanted.map((want, index) => (hungry === 0 || isHungry[index] ? want + part : want))
}
