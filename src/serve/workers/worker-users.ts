// The users as a worker knows them: told by the primary process, which keeps the counts and the limits for all workers.
import { ChurningMap } from '../../codec/churning.ts'
import { AnyTlsError } from '../../errors.ts'
import type { SessionPaces } from '../../session/pace.ts'
import type { AccountsStore } from '../accounts.ts'
import type { LimitedSession, UserLimiter } from '../limiter.ts'
import { dayOf } from '../usage/ledger.ts'
import type { DayUsage, Usage, UsageLedger } from '../usage/ledger.ts'
import type { User } from '../users/user.ts'
import { UserTable } from '../users/user-table.ts'
import type { UserChange } from '../users/user-table.ts'
import { SharedPace } from './shared-pace.ts'
import type {
  Refusal,
  UserBytes,
  UserRates,
  UsersNews,
  UsersReport,
  UsersStart,
} from './messages.ts'

const NOTHING: Usage = Object.freeze({ up: 0, down: 0 })

/** The users of a worker, as `Accounts` wants them. */
export class WorkerUsers {
  readonly store: AccountsStore
  readonly limiter: UserLimiter
  readonly #users = new UserTable()
  readonly #ledger: WorkerLedger
  readonly #limiter: WorkerLimiter
  readonly #listeners = new Set<(changes: readonly UserChange[]) => void>()

  /** @param workers how many there are: until a share of a rate is told, it is one of so many */
  constructor(start: UsersStart, workers: number, send: (message: UsersReport) => void) {
    this.#ledger = new WorkerLedger(start.used)
    this.limiter = this.#limiter = new WorkerLimiter(workers, send)
    this.#users.become(UserTable.unpack(start.known))
    this.store = {
      users: this.#users,
      usage: this.#ledger,
      publishSessions: () => {},
      watch: (listener) => {
        this.#listeners.add(listener)
        return () => this.#listeners.delete(listener)
      },
      close: () => Promise.resolve(),
    }
  }

  /** Takes in what the primary process tells. */
  receive(news: UsersNews): void {
    switch (news.type) {
      case 'users':
        this.#change(news)
        return
      case 'used':
        this.#ledger.setUsed(news.used)
        return
      case 'rates':
        this.#limiter.setRates(news.rates)
        return
      case 'verdict':
        this.#limiter.decide(news.session, news.refusal)
    }
  }

  /** What was counted since this was last asked. */
  takeCounts(): readonly UserBytes[] {
    return this.#ledger.take()
  }

  /** What was taken of rates since this was last asked, in bytes a second. */
  takeRates(): readonly UserRates[] {
    return this.#limiter.take()
  }

  #change({ gone, now }: Extract<UsersNews, { type: 'users' }>): void {
    const come = new Set(now.map(({ id }) => id))
    const changes = this.#users.change([
      ...gone
        .filter((id) => !come.has(id))
        .map((id) => ({ before: this.#users.byId(id), after: undefined })),
      ...now.map((after) => ({ before: this.#users.byId(after.id), after })),
    ])
    for (const listener of this.#listeners) listener(changes)
  }
}

/** Counts until they are reported. What was used before is what counts for the quota, as the primary process says. */
class WorkerLedger implements UsageLedger {
  readonly #used = new Map<string, Usage>()
  #counts = new Map<string, { up: number; down: number }>()

  constructor(used: readonly UserBytes[]) {
    this.setUsed(used)
  }

  of(id: string): Usage {
    const [used, count] = [this.#used.get(id) ?? NOTHING, this.#counts.get(id) ?? NOTHING]
    return { up: used.up + count.up, down: used.down + count.down }
  }

  /** Whatever the period: all of it is of today. */
  days(id: string): readonly DayUsage[] {
    return [{ day: dayOf(Date.now()), ...this.of(id) }]
  }

  add(id: string, up: number, down: number): void {
    if (up === 0 && down === 0) return
    const count = this.#counts.get(id) ?? { up: 0, down: 0 }
    count.up += up
    count.down += down
    this.#counts.set(id, count)
  }

  reset = (): Promise<void> => Promise.resolve()
  refresh = (): Promise<void> => Promise.resolve()
  flush = (): Promise<void> => Promise.resolve()

  setUsed(used: readonly UserBytes[]): void {
    for (const [id, up, down] of used) {
      if (up > 0 || down > 0) this.#used.set(id, { up, down })
      else this.#used.delete(id)
    }
  }

  take(): readonly UserBytes[] {
    const counts = [...this.#counts].map(([id, { up, down }]) => [id, up, down] as const)
    this.#counts = new Map()
    return counts
  }
}

interface Guest {
  readonly sessions: Set<string>
  readonly up: SharedPace
  readonly down: SharedPace
  /** The rates that the paces are shares of, as the user has them; whoever has another gets another share. */
  of: Pick<User, 'maxUp' | 'maxDown'> | undefined
  /** Whether something was taken when that was last told. */
  busy: boolean
}

/** Asks the primary process, and keeps to the shares of rates that it gives. */
class WorkerLimiter implements UserLimiter {
  readonly #workers: number
  readonly #send: (message: UsersReport) => void
  readonly #guests = new ChurningMap<string, Guest>()
  #told = performance.now()
  readonly #waiting = new ChurningMap<string, (refusal: AnyTlsError | undefined) => void>()

  constructor(workers: number, send: (message: UsersReport) => void) {
    this.#workers = workers
    this.#send = send
  }

  enter(user: User, { id, remoteAddress }: LimitedSession): Promise<AnyTlsError | undefined> {
    this.#guestOf(user).sessions.add(id)
    this.#send({ type: 'enter', user: user.name, session: id, remoteAddress })
    return new Promise((resolve) => this.#waiting.set(id, resolve))
  }

  leave(user: Pick<User, 'id'>, { id }: LimitedSession): void {
    this.#send({ type: 'leave', session: id })
    this.decide(id, undefined)
    const guest = this.#guests.get(user.id)
    guest?.sessions.delete(id)
    if (guest?.sessions.size === 0) this.#guests.delete(user.id)
  }

  paces(user: User): SessionPaces {
    const guest = this.#guestOf(user)
    const { up, down, of } = guest
    const { maxUp, maxDown } = user
    if (of?.maxUp !== maxUp) this.#begin(up, maxUp)
    if (of?.maxDown !== maxDown) this.#begin(down, maxDown)
    guest.of = { maxUp, maxDown }
    return {
      receive: maxUp === undefined ? undefined : up,
      send: maxDown === undefined ? undefined : down,
    }
  }

  setRates(rates: readonly UserRates[]): void {
    const now = performance.now()
    for (const [id, up, down] of rates) {
      const guest = this.#guests.get(id)
      if (guest === undefined) continue
      guest.up.share(up, now)
      guest.down.share(down, now)
    }
  }

  decide(session: string, refusal: Refusal | undefined): void {
    this.#waiting.get(session)?.(refusal && new AnyTlsError(refusal.code, refusal.message))
    this.#waiting.delete(session)
  }

  take(): readonly UserRates[] {
    const now = performance.now()
    const seconds = Math.max(now - this.#told, 1) / 1_000
    this.#told = now
    const rates: UserRates[] = []
    for (const [id, guest] of this.#guests.entries()) {
      const [up, down] = [guest.up.measure(seconds, now), guest.down.measure(seconds, now)]
      const busy = up > 0 || down > 0
      if (busy || guest.busy) rates.push([id, up, down])
      guest.busy = busy
    }
    return rates
  }

  #begin(pace: SharedPace, whole = Infinity): void {
    pace.whole = whole
    pace.share(whole / this.#workers, performance.now())
  }

  #guestOf({ id }: User): Guest {
    let guest = this.#guests.get(id)
    if (guest === undefined) {
      const [up, down] = [new SharedPace(), new SharedPace()]
      guest = { sessions: new Set(), up, down, of: undefined, busy: false }
      this.#guests.set(id, guest)
    }
    return guest
  }
}
