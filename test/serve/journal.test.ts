// The journal: every byte once, whoever writes, whatever fails in between.
import {
  appendFileSync,
  chownSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dayOf, usedOf } from '../../src/serve/usage/ledger.ts'
import { UsageJournal } from '../../src/serve/usage/journal.ts'
import { Tally } from '../../src/serve/usage/tally.ts'
import { makeFolder } from './support.ts'

function makePath(): string {
  return join(makeFolder(), 'users.json.usage')
}

async function read(path: string): Promise<UsageJournal> {
  const journal = new UsageJournal(path, () => {})
  await journal.refresh()
  return journal
}

describe('Issue 12.2: the journal of what was used', () => {
  it('its sums are those of a map of days, of which the last 40 are kept, and what is no day counts in all', () => {
    const step = fc.record({
      id: fc.constantFrom('a', 'b'),
      // Bytes that are the numbers of days, too.
      day: fc.oneof(fc.integer({ min: 20_000, max: 20_045 }), fc.constantFrom(-1, 80_000)),
      up: fc.oneof(fc.integer({ min: 20_000, max: 20_045 }), fc.nat({ max: 2 ** 50 })),
      down: fc.nat({ max: 20_045 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
        const tally = new Tally()
        const model = new Map<string, Map<string, { day: string; up: number; down: number }>>()
        const total = { a: { up: 0, down: 0 }, b: { up: 0, down: 0 } }
        for (const { id, day: number, up, down } of steps) {
          const day = dayOf(number * 86_400_000)
          tally.add(id, day, up, down)
          total[id].up += up
          total[id].down += down
          const days = model.get(id) ?? new Map<string, { day: string; up: number; down: number }>()
          model.set(id, days)
          const before = days.get(day) ?? { day, up: 0, down: 0 }
          days.set(day, { day, up: before.up + up, down: before.down + down })
          if (days.size > 40) days.delete([...days.keys()].sort()[0]!)
        }
        for (const id of tally.ids) {
          const days = [...model.get(id)!.values()]
          expect(tally.days(id)).toEqual(days.sort((one, two) => (one.day < two.day ? -1 : 1)))
          const again = new Tally()
          again.set(id, tally.record(id))
          expect([again.of(id), again.days(id)]).toEqual([tally.of(id), tally.days(id)])
        }
        for (const id of ['a', 'b'] as const) expect(tally.of(id)).toEqual(total[id])
        tally.add('a', 'no day', 1, 2)
        expect(tally.of('a')).toEqual({ up: total.a.up + 1, down: total.a.down + 2 })
      }),
    )
  })

  it.skipIf(process.getuid?.() !== 0)(
    'belongs to whom its folder does, when the superuser is the first who writes (only as superuser)',
    async () => {
      const path = makePath()
      chownSync(dirname(path), 12_345, 12_345)
      const journal = await read(path)
      await journal.reset('a')
      expect(statSync(path)).toMatchObject({ uid: 12_345, gid: 12_345 })
      expect(statSync(path).mode & 0o777).toBe(0o600)
    },
  )

  it('sums up what several writers wrote, in any order, and what they did not write yet', async () => {
    const path = makePath()
    const writers = [new UsageJournal(path, () => {}), new UsageJournal(path, () => {})]
    const step = fc.record({
      writer: fc.nat(1),
      id: fc.constantFrom('a', 'b'),
      up: fc.nat(1_000),
      down: fc.nat(1_000),
      flush: fc.boolean(),
    })
    const total = { a: [0, 0], b: [0, 0] }
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        for (const { writer, id, up, down, flush } of steps) {
          writers[writer]!.add(id, up, down)
          total[id][0]! += up
          total[id][1]! += down
          if (flush) await writers[writer]!.flush()
        }
        for (const writer of writers) await writer.flush()
        for (const writer of writers) await writer.refresh()
        const journals = [...writers, await read(path)]
        for (const journal of journals) {
          for (const id of ['a', 'b'] as const) {
            expect(journal.of(id)).toEqual({ up: total[id][0], down: total[id][1] })
          }
        }
      }),
      { numRuns: 15 },
    )
  })

  it('a user whose id is a word of the language is counted as every other', async () => {
    const path = makePath()
    const journal = new UsageJournal(path, () => {})
    for (const id of ['__proto__', 'constructor']) journal.add(id, 5, 7)
    await journal.flush()
    for (const one of [journal, await read(path)]) {
      expect(['__proto__', 'constructor'].map((id) => one.of(id))).toEqual([
        { up: 5, down: 7 },
        { up: 5, down: 7 },
      ])
    }
  })

  it('a batch that was written twice counts once', async () => {
    const path = makePath()
    const journal = new UsageJournal(path, () => {})
    journal.add('a', 1, 2)
    await journal.flush()
    appendFileSync(path, readFileSync(path))
    expect((await read(path)).of('a')).toEqual({ up: 1, down: 2 })
    await journal.refresh()
    expect(journal.of('a')).toEqual({ up: 1, down: 2 })
  })

  it('half a line of a writer that was killed is nobody`s, and what comes after it counts', async () => {
    const path = makePath()
    const journal = new UsageJournal(path, () => {})
    journal.add('a', 1, 2)
    await journal.flush()
    appendFileSync(path, '{"writer":"x","batch":1,"days":{"2026-1')
    journal.add('a', 10, 20)
    await journal.flush()
    expect((await read(path)).of('a')).toEqual({ up: 11, down: 22 })
    expect(readFileSync(path, 'utf8')).not.toContain('"2026-1{')
  })

  it('what could not be written is kept, shown, and written once when it can be', async () => {
    const path = makePath()
    const journal = new UsageJournal(path, () => {})
    // Whatever the system says, here: it is a folder.
    mkdirSync(path)
    journal.add('a', 1, 2)
    await expect(journal.flush()).rejects.toMatchObject({ code: 'ERR_FILE' })
    journal.add('a', 10, 20)
    await expect(journal.flush()).rejects.toMatchObject({ code: 'ERR_FILE' })
    expect(journal.of('a')).toEqual({ up: 11, down: 22 })
    rmdirSync(path)
    await journal.flush()
    expect(journal.of('a')).toEqual({ up: 11, down: 22 })
    expect((await read(path)).of('a')).toEqual({ up: 11, down: 22 })
  })

  it('is compacted, and read on by those who had read it before', async () => {
    const path = makePath()
    const [journal, other] = [new UsageJournal(path, () => {}), new UsageJournal(path, () => {})]
    const id = 'x'.repeat(4_000)
    let largest = 0
    for (let batch = 0; batch < 100; batch += 1) {
      journal.add(id, 1, 2)
      await journal.flush()
      if (batch % 30 === 0) await other.refresh()
      largest = Math.max(largest, statSync(path).size)
    }
    expect(statSync(path).size).toBeLessThan(largest)
    other.add('b', 5, 5)
    await other.flush()
    await journal.refresh()
    for (const one of [journal, other, await read(path)]) {
      expect(one.of(id)).toEqual({ up: 100, down: 200 })
      expect(one.of('b')).toEqual({ up: 5, down: 5 })
    }
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('lines that mean nothing are left out, and told once', async () => {
    const path = makePath()
    const good = '{"writer":"w","batch":1,"days":{"2026-11-27":{"a":[1,2]}}}'
    const bad = [
      ...['null', '[]', '7', 'x', '{}', '{"account":"a"}', '{"writer":"v","batch":-1,"days":{}}'],
      ...[
        '{"writer":"v","batch":1,"days":{"d":{"a":[1]}}}',
        '{"account":"a","up":1e99,"down":1,"days":{}}',
      ],
    ]
    writeFileSync(path, `${[...bad, good, ...bad].join('\n')}\n`)
    const warnings: string[] = []
    const journal = new UsageJournal(path, (problem) => warnings.push(problem))
    await journal.refresh()
    expect(journal.of('a')).toEqual({ up: 1, down: 2 })
    expect(warnings).toHaveLength(1)
  })

  it('reset: nothing was used, whoever counted it', async () => {
    const path = makePath()
    const [one, two] = [new UsageJournal(path, () => {}), new UsageJournal(path, () => {})]
    one.add('a', 1, 1)
    await one.flush()
    await two.reset('a')
    await one.refresh()
    expect([one.of('a'), one.days('a')]).toEqual([{ up: 0, down: 0 }, []])
    one.add('a', 3, 4)
    await one.flush()
    expect((await read(path)).of('a')).toEqual({ up: 3, down: 4 })
  })

  it('quotas begin anew by the calendar in UTC, and a clock that jumps takes nothing away', async () => {
    let now = Date.parse('2026-11-29T23:59:00Z')
    const journal = new UsageJournal(
      makePath(),
      () => {},
      () => now,
    )
    const used = (per: 'day' | 'week' | 'month' | 'all') =>
      usedOf(journal, 'a', { bytes: 1, per }, now)
    journal.add('a', 60, 40)
    expect((['day', 'week', 'month', 'all'] as const).map(used)).toEqual([100, 100, 100, 100])
    now += 120_000
    expect((['day', 'week', 'month', 'all'] as const).map(used)).toEqual([0, 0, 100, 100])
    now = Date.parse('2026-12-01T00:00:00Z')
    expect(used('month')).toBe(0)
    // Far ahead, and back.
    now = Date.parse('2199-01-01T00:00:00Z')
    journal.add('a', 1, 0)
    now = Date.parse('2026-11-29T23:59:30Z')
    expect(used('all')).toBe(101)
    expect(journal.days('a').map(({ day }) => day)).toEqual(['2026-11-29', '2199-01-01'])
    await journal.flush()
    expect(journal.of('a')).toEqual({ up: 61, down: 40 })
  })

  it('what a clock that was ahead has dated counts in its own period alone', () => {
    let now = 0
    const journal = new UsageJournal(
      makePath(),
      () => {},
      () => now,
    )
    for (const day of ['2026-11-29', '2026-11-30', '2026-12-01', '2036-01-01', '2028-02-29']) {
      now = Date.parse(day)
      journal.add('a', 1, 0)
    }
    const used = (per: 'day' | 'week' | 'month' | 'all', day: string) =>
      usedOf(journal, 'a', { bytes: 1, per }, Date.parse(day))
    // A Sunday, the last but one day of a month.
    expect(['2026-11-29', '2026-11-30'].map((day) => used('day', day))).toEqual([1, 1])
    expect(['2026-11-29', '2026-11-30'].map((day) => used('week', day))).toEqual([1, 2])
    expect(['2026-11-01', '2026-12-31', '2027-01-01'].map((day) => used('month', day))).toEqual([
      ...[2, 1, 0],
    ])
    expect(['2028-02-01', '2028-01-31'].map((day) => used('month', day))).toEqual([1, 0])
    expect(used('all', '2026-11-29')).toBe(5)
  })
})
