// How a rate of a user is shared out among the workers where the user has sessions.
// Must never give out more than there is.

/** What an idle worker keeps of the rate, all of them together: its first bytes need not wait for the next sharing. */
const IDLE_PART = 0.05

/** Who has taken so much of a share wants more. */
const HUNGRY = 0.7

/** What somebody who wants no more keeps beyond what was taken. */
const ROOM = 1.25

export interface Share {
  /** What there was to take since the last sharing, in bytes a second. */
  readonly given: number
  /** What of it was taken, in bytes a second. */
  readonly taken: number
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
