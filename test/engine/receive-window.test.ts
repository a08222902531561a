// How much one end takes on one stream, by numbers: fixed windows, and open ones that are narrowed for readers that
// are behind (N43).
import { describe, expect, it } from 'vitest'
import { CONNECTION_UNREAD, OPEN_WINDOW, ReceiveWindow } from '../../src/engine/receive-window.ts'
import type { Surroundings } from '../../src/engine/receive-window.ts'

const MIB = 1_048_576

/** A stream with a sibling, with time and a path of the test's. */
class Reception {
  readonly window = new ReceiveWindow(OPEN_WINDOW)
  now = 1_000
  roundTrip: number | undefined = 100
  /** What siblings hold unread. */
  others = 0
  alone = false

  get around(): Surroundings {
    const { now, roundTrip, others, window, alone } = this
    return { now, roundTrip, unread: others + window.unread, alone }
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
    for (const behind of [0, 1]) {
      const reception = new Reception()
      reception.receive(behind)
      let told = 0
      for (let count = 0; count < 4_800; count += 1) {
        expect(reception.receive(MIB / 8)).toBe(false)
        if (reception.consume(MIB / 8) > 0) told += 1
        reception.now += 1
      }
      expect(told).toBe(1)
      expect(reception.window.limit).toBeGreaterThan(OPEN_WINDOW)
    }
  })

  it('a reader that takes nothing is held at 256 KiB, far away and near', () => {
    for (const roundTrip of [undefined, 0.2, 300]) {
      const reception = new Reception()
      reception.roundTrip = roundTrip
      expect(reception.receive(MIB / 4 - 1)).toBe(false)
      expect(reception.window.mayBeBehind).toBe(false)
      expect(reception.receive(2)).toBe(true)
      expect(reception.window.mayBeBehind).toBe(false)
      expect(reception.window.limit).toBe(MIB / 4)
      // What was ever permitted may be under way.
      expect(reception.window.room(0)).toBe(OPEN_WINDOW - MIB / 4 - 1)
      expect(reception.receive(5 * MIB)).toBe(false)
    }
  })

  it('less than 1 MiB unread is not behind for one that has taken something, however long it lies there', () => {
    const reception = new Reception()
    reception.receive(1)
    reception.consume(1)
    for (let count = 0; count < 15; count += 1) {
      expect(reception.receive(MIB / 16)).toBe(false)
      reception.now += 10_000
    }
    expect(reception.receive(MIB / 16)).toBe(true)
    expect(reception.window.limit).toBe(MIB + 1)
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

  it('what it has taken so far counts before the first round trip is over', () => {
    const reception = new Reception()
    for (const roundTrip of [undefined, 300]) {
      reception.roundTrip = roundTrip
      reception.receive(MIB / 2)
      reception.consume(MIB / 2)
    }
    expect(reception.receive(2 * MIB - 1)).toBe(false)
    expect(reception.receive(1)).toBe(true)
  })

  it('with siblings at most half of what is left of the connection, and 64 KiB at least', () => {
    const reception = new Reception()
    reception.steady(30 * MIB, 3)
    reception.others = 30 * MIB
    // Half of 34 MiB, less what it takes itself.
    expect(reception.receive(11 * MIB)).toBe(false)
    expect(reception.receive(MIB)).toBe(true)
    const late = new Reception()
    late.others = CONNECTION_UNREAD
    expect(late.receive(65_535)).toBe(false)
    expect(late.receive(1)).toBe(true)
    expect(late.window.limit).toBe(65_536)
  })

  it('alone as far behind as its pace allows: the connection stops by itself', () => {
    const reception = new Reception()
    reception.alone = true
    reception.steady(40 * MIB, 3)
    expect(reception.receive(CONNECTION_UNREAD)).toBe(false)
  })

  it('on loopback 1 MiB, whatever the pace', () => {
    const reception = new Reception()
    reception.roundTrip = 0.2
    reception.steady(30 * MIB, 3)
    expect(reception.receive(MIB)).toBe(true)
    expect(reception.window.limit - reception.window.consumed).toBe(MIB)
  })

  it('beyond loopback the pace counts', () => {
    const reception = new Reception()
    reception.roundTrip = 1
    for (let round = 0; round < 3; round += 1) {
      reception.receive(4 * MIB)
      reception.consume(4 * MIB)
      reception.now += 1
    }
    expect(reception.receive(MIB)).toBe(false)
  })

  it('held, a reader whose share shrinks gives nothing back', () => {
    const reception = new Reception()
    expect(reception.receive(2 * MIB)).toBe(true)
    reception.others = CONNECTION_UNREAD
    reception.window.consumed += 1
    reception.window.widen(reception.around)
    const { limit } = reception.window
    expect(reception.window.takeCredit(true)).toBe(0)
    expect(reception.window.limit).toBe(limit)
  })

  it('held, a reader gets what it takes in two round trips, so that it does not starve', () => {
    const reception = new Reception()
    expect(reception.receive(6 * MIB)).toBe(true)
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
    for (let round = 0; round < 5; round += 1) {
      // All that may come is there, and all but one byte of it is read.
      reception.now += 100
      reception.receive(Math.max(0, window.limit - window.received))
      reception.consume(window.unread - 1)
      sizes.push(Math.round((window.limit - window.consumed) / MIB))
    }
    // No more than half of what the connection may hold.
    expect(sizes).toEqual([4, 8, 16, 32, 32])
  })

  it('is open again once the reader has taken all that came', () => {
    const reception = new Reception()
    expect(reception.receive(2 * MIB)).toBe(true)
    expect(reception.consume(2 * MIB - 1)).toBeLessThan(8 * MIB)
    expect(reception.consume(1)).toBeGreaterThan(OPEN_WINDOW / 2)
    expect(reception.window.limit).toBe(OPEN_WINDOW + 2 * MIB)
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
