// How much one end takes on one stream, by numbers: fixed windows, and open ones that are narrowed for readers that
// are behind (N43).
import { describe, expect, it } from 'vitest'
import { CONNECTION_UNREAD, OPEN_WINDOW, ReceiveWindow } from '../../src/engine/receive-window.ts'
import type { Surroundings } from '../../src/engine/receive-window.ts'

const MIB = 1_048_576

/** A stream that is alone on its connection, with time and a path of the test's. */
class Reception {
  readonly window = new ReceiveWindow(OPEN_WINDOW)
  now = 1_000
  roundTrip: number | undefined = 100
  /** What siblings hold unread. */
  others = 0

  get around(): Surroundings {
    const { now, roundTrip, others, window } = this
    return { now, roundTrip, unread: others + window.unread }
  }

  /** True when the window was narrowed. */
  receive(bytes: number): boolean {
    this.window.received += bytes
    return this.window.narrow(this.around)
  }

  /** What the peer gets back. */
  consume(bytes: number): number {
    this.window.consumed += bytes
    this.window.widen(this.around)
    return this.window.takeCredit(false)
  }

  /** Rounds in which as much comes as is read. */
  steady(bytes: number, rounds: number): void {
    for (let round = 0; round < rounds; round += 1) {
      this.receive(bytes)
      this.consume(bytes)
      this.now += 100
    }
  }
}

describe('a window that was set', () => {
  it('gives back what was consumed once half of it is due, or at once', () => {
    const window = new ReceiveWindow(1_000)
    window.received = 1_000
    window.consumed = 499
    expect(window.takeCredit(false)).toBe(0)
    expect(window.takeCredit(true)).toBe(499)
    window.consumed = 998
    expect(window.takeCredit(false)).toBe(0)
    window.consumed = 999
    expect(window.takeCredit(false)).toBe(500)
    expect(window.room(0)).toBe(999)
  })

  it('leaves no room beyond it, but for a first flight', () => {
    const window = new ReceiveWindow(1_000)
    window.received = 1_000
    expect(window.room(0)).toBe(0)
    expect(window.room(5_000)).toBe(4_000)
  })
})

describe('an open window', () => {
  it('is told of once in half a GiB while its reader keeps up', () => {
    const reception = new Reception()
    let told = 0
    for (let count = 0; count < 600; count += 1) {
      expect(reception.receive(MIB)).toBe(false)
      if (reception.consume(MIB) > 0) told += 1
      reception.now += 1
    }
    expect(told).toBe(1)
    expect(reception.window.limit).toBeGreaterThan(OPEN_WINDOW)
  })

  it('a reader that takes nothing is held at 1 MiB once two round trips have passed', () => {
    const reception = new Reception()
    expect(reception.receive(MIB)).toBe(false)
    reception.now += 199
    expect(reception.receive(1)).toBe(false)
    reception.now += 1
    expect(reception.receive(1)).toBe(true)
    expect(reception.window.limit).toBe(MIB)
    // What was ever permitted may be under way.
    expect(reception.window.room(0)).toBe(OPEN_WINDOW - MIB - 2)
    expect(reception.receive(5 * MIB)).toBe(false)
  })

  it('less than 1 MiB unread is not behind, however long it lies there', () => {
    const reception = new Reception()
    for (let count = 0; count < 15; count += 1) {
      expect(reception.receive(MIB / 16)).toBe(false)
      reception.now += 10_000
    }
  })

  it('a reader may be behind by what it takes in two round trips', () => {
    const reception = new Reception()
    reception.steady(6 * MIB, 5)
    expect(reception.receive(12 * MIB - 1)).toBe(false)
    expect(reception.receive(1)).toBe(true)
    expect(reception.window.limit - reception.window.consumed).toBe(12 * MIB)
  })

  it('what is measured over a longer while counts for one round trip', () => {
    const reception = new Reception()
    reception.steady(4 * MIB, 2)
    // In three seconds: less than half a MiB in a round trip.
    expect(reception.receive(6 * MIB)).toBe(false)
    reception.now += 3_000
    reception.consume(6 * MIB)
    expect(reception.receive(MIB)).toBe(true)
  })

  it('at most a quarter of what is left of the connection, and 64 KiB at least', () => {
    const reception = new Reception()
    reception.steady(30 * MIB, 3)
    reception.others = 32 * MIB
    expect(reception.receive(6.4 * MIB - 1)).toBe(false)
    expect(reception.receive(MIB)).toBe(true)
    const late = new Reception()
    late.others = CONNECTION_UNREAD
    expect(late.receive(65_535)).toBe(false)
    expect(late.receive(1)).toBe(true)
    expect(late.window.limit).toBe(65_536)
  })

  it('before a round trip was measured, by its share of the connection alone', () => {
    const reception = new Reception()
    reception.roundTrip = undefined
    expect(reception.window.mayBeBehind).toBe(false)
    reception.receive(MIB)
    expect(reception.window.mayBeBehind).toBe(true)
    expect(reception.receive(10 * MIB)).toBe(false)
    expect(reception.receive(5 * MIB)).toBe(true)
  })

  it('on loopback 1 MiB, whatever the pace', () => {
    const reception = new Reception()
    reception.roundTrip = 0.2
    reception.steady(30 * MIB, 3)
    expect(reception.receive(MIB)).toBe(true)
    expect(reception.window.limit - reception.window.consumed).toBe(MIB)
  })

  it('held, a reader gets what it takes in two round trips, so that it does not starve', () => {
    const reception = new Reception()
    reception.receive(10 * MIB)
    reception.now += 200
    expect(reception.receive(1)).toBe(true)
    // It takes 3 MiB in each round trip from now on.
    for (let round = 0; round < 8; round += 1) {
      reception.consume(3 * MIB)
      reception.now += 100
      reception.receive(3 * MIB)
    }
    expect(reception.window.limit - reception.window.consumed).toBe(6 * MIB)
  })

  it('at least doubles each round trip for a reader that has more pace than window', () => {
    const reception = new Reception()
    reception.receive(2 * MIB)
    reception.now += 200
    reception.receive(1)
    const { window } = reception
    const sizes: number[] = []
    for (let round = 0; round < 4; round += 1) {
      // All that may come is there, and all but one byte of it is read.
      reception.now += 100
      reception.receive(Math.max(0, window.limit - window.received))
      reception.consume(window.unread - 1)
      sizes.push(Math.round((window.limit - window.consumed) / MIB))
    }
    // No more than a quarter of what the connection may hold.
    expect(sizes).toEqual([4, 8, 16, 16])
  })

  it('is open again once the reader has taken all that came', () => {
    const reception = new Reception()
    reception.receive(2 * MIB)
    reception.now += 200
    reception.receive(1)
    expect(reception.consume(2 * MIB)).toBeLessThan(4 * MIB)
    expect(reception.consume(1)).toBeGreaterThan(OPEN_WINDOW / 2)
    expect(reception.window.limit).toBe(OPEN_WINDOW + 2 * MIB + 1)
  })

  it('only ever answers with whole bytes', () => {
    const reception = new Reception()
    reception.roundTrip = 33.3
    for (let count = 0; count < 50; count += 1) {
      reception.receive(1_234_567)
      reception.now += 7.77
      expect(Number.isInteger(reception.consume(765_431))).toBe(true)
      expect(Number.isInteger(reception.window.limit)).toBe(true)
    }
  })
})
