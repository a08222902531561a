// A rate that sessions keep: how long whoever took bytes waits, and how many to take at once.
import { describe, expect, it } from 'vitest'
import { Pace } from '../../src/session/pace.ts'

describe('Pace', () => {
  it('has whoever took more than was unused wait for the rest, in milliseconds of the rate', () => {
    const pace = new Pace(1_000)
    // A quarter of a second of the rate may have been left unused.
    expect(pace.take(250, 5_000)).toBe(0)
    expect(pace.take(100, 5_000)).toBe(100)
    expect(pace.take(20, 5_050)).toBe(70)
  })

  it('lets nobody save up more than a quarter of a second, and never has one wait less than not at all', () => {
    const pace = new Pace(1_000)
    expect(pace.take(1, 5_000)).toBe(0)
    expect(pace.take(300, 3_600_000)).toBe(50)
  })

  it('keeps another rate from when it is set, and says which', () => {
    const pace = new Pace(1_000)
    expect(pace.rate).toBe(1_000)
    pace.take(250, 5_000)
    pace.rate = 4_000
    expect(pace.rate).toBe(4_000)
    expect(pace.take(100, 5_000)).toBe(25)
  })

  it.each([
    [1, 2_048],
    [40_959, 2_048],
    [40_980, 2_049],
    [100_019, 5_000],
    [5_242_880, 262_144],
    [1e9, 262_144],
  ])('at %i bytes a second wants at most %i bytes taken at once', (rate, quantum) => {
    expect(new Pace(rate).quantum).toBe(quantum)
  })
})
