// Users as bytes in memory: what comes out is what went in, and indexes find what maps would.
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { PackedNumbers } from '../../src/serve/users/packed-numbers.ts'
import { PackedUsers, unpackUsers } from '../../src/serve/users/packed-users.ts'
import { TagIndex } from '../../src/serve/users/tag-index.ts'
import { hashOf, makeUser } from '../../src/serve/users/user.ts'
import type { User } from '../../src/serve/users/user.ts'
import { UserTable } from '../../src/serve/users/user-table.ts'

const text = (maxLength: number) =>
  fc.oneof(fc.string({ maxLength, unit: 'binary' }), fc.string({ maxLength }), halfCharacters)
const halfCharacters = fc.constantFrom('\ud800', 'a\udfff', '\u0000', 'ÿ', 'Ā')
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined })
const round = fc
  .tuple(fc.nat(999), fc.nat(22))
  .map(([digits, zeros]) => Math.min(digits * 10 ** zeros, Number.MAX_SAFE_INTEGER))
const bytes = fc.oneof(round, fc.nat({ max: Number.MAX_SAFE_INTEGER }))
const amount = maybe(bytes)

const user: fc.Arbitrary<User> = fc
  .record({
    id: text(128),
    name: text(64),
    password: maybe(text(1_000)),
    otherHash: maybe(
      fc.string({ minLength: 64, maxLength: 64, unit: fc.constantFrom('0', 'a', 'f') }),
    ),
    subscription: maybe(text(64)),
    enabled: fc.boolean(),
    expires: amount,
    quota: maybe(
      fc.record({
        bytes,
        per: fc.constantFrom('day', 'week', 'month', 'all'),
      }),
    ),
    maxUp: amount,
    maxDown: amount,
    maxSessions: amount,
    maxAddresses: amount,
    allowPrivate: fc.boolean(),
    note: maybe(text(1_000)),
    created: amount,
  })
  .map(({ otherHash, ...rest }) => ({ ...rest, hash: otherHash ?? hashOf(rest.password ?? 'x') }))

/** Bytes of memory that are held, on the heap and beside it. */
async function held(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  // The first may end one that was under way, and leave what has become garbage since.
  for (let count = 0; count < 2; count += 1) {
    await setImmediate()
    collectGarbage()
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

describe('users as bytes', () => {
  it('Issue 12.10: whoever is put in comes out, whoever comes, changes or goes beside them', () => {
    const step = fc.record({ kind: fc.constantFrom('add', 'set', 'delete'), at: fc.nat(40), user })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const packed = new PackedUsers()
        const model = new Map<number, User>()
        for (const { kind, at, user: next } of steps) {
          const places = [...model.keys()]
          const place = places[at % Math.max(places.length, 1)]
          if (kind === 'add' || place === undefined) model.set(packed.add(next), next)
          else if (kind === 'set') {
            packed.set(place, next)
            model.set(place, next)
          } else {
            packed.delete(place)
            model.delete(place)
          }
        }
        expect(packed.size).toBe(model.size)
        expect([...packed.places()]).toEqual([...model.keys()].sort((a, b) => a - b))
        expect([...unpackUsers(packed.pack())]).toEqual(
          [...packed.places()].map((at) => model.get(at)),
        )
        for (const [place, expected] of model) {
          const { id, name, note } = expected
          expect(packed.at(place)).toEqual(expected)
          expect(packed.titleAt(place)).toEqual({ id, name, note })
          const alone = new PackedUsers()
          expect(packed.isSame(place, alone, alone.add(expected))).toBe(true)
          const changed = { ...expected, enabled: !expected.enabled }
          expect(packed.isSame(place, alone, alone.add(changed))).toBe(false)
        }
      }),
    )
  })

  it('Issue 12.10: who is changed again and again takes no more memory, and one who is too long is refused', async () => {
    const packed = new PackedUsers()
    const one = makeUser({ name: 'one' }, 0)
    const [place, other] = [packed.add(one), packed.add(one)]
    const before = await held()
    const changes = 200_000
    for (let count = 1; count <= changes; count += 1) {
      packed.set(place, { ...one, note: `${count}` })
    }
    expect(packed.at(place).note).toBe(`${changes}`)
    expect(packed.at(other)).toEqual(one)
    expect((await held()) - before).toBeLessThan(4 << 20)
    expect(() => packed.add({ ...one, note: 'x'.repeat(9_000) })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_INVALID' }),
    )
    expect(() => packed.set(other, { ...one, note: 'x'.repeat(9_000) })).toThrow()
    expect([...packed.places()]).toEqual([place, other])
    expect([packed.size, packed.at(other)]).toEqual([2, one])
    expect([...unpackUsers(packed.pack())]).toHaveLength(2)
  })

  it('Issue 12.10: an index finds what was added and is not deleted, however tags collide', () => {
    const step = fc.record({ tag: fc.nat(20), isAdded: fc.boolean() })
    // Few places, and more than a slot of either size has bits for.
    const places = fc.constantFrom(1, 200, 70_000, 2 ** 31)
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.nat(31), places, (steps, shift, far) => {
        // Slots at the end of the table, so that what collides comes round to its beginning.
        const tags = steps.map(({ tag: low }) => ((low << shift) | 14) >>> 0)
        const index = new TagIndex((place) => tags[place - far] ?? 0)
        const model: { readonly tag: number; readonly place: number }[] = []
        for (const [step, { isAdded }] of steps.entries()) {
          const [tag, place] = [tags[step] ?? 0, step + far]
          if (isAdded) {
            index.add(tag, place)
            model.push({ tag, place })
            continue
          }
          const at = model.findIndex((entry) => entry.tag === tag)
          const [gone] = at < 0 ? [] : model.splice(at, 1)
          index.delete(tag, gone?.place ?? far - 1)
        }
        for (const { tag, place } of model) {
          expect(index.find(tag, (candidate) => candidate === place)).toBe(place)
        }
        const found: number[] = []
        for (const tag of new Set(tags)) {
          index.find(tag, (place) => {
            if (tags[place - far] === tag) found.push(place)
            return false
          })
        }
        expect(found.sort()).toEqual(model.map(({ place }) => place).sort())
      }),
    )
  })
})

it('Issue 12.10: numbers come back as they were set, also where they take more than three bytes', () => {
  const sizes = fc.constantFrom(0, 2 ** 24 - 1, 2 ** 24, 2 ** 32 - 1)
  fc.assert(
    fc.property(sizes, fc.array(fc.double({ min: 0, max: 1, noNaN: true })), (most, shares) => {
      const numbers = shares.map((share) => Math.floor(share * most))
      const packed = new PackedNumbers(numbers.length + 1, most)
      for (const [index, number] of numbers.entries()) packed.set(index, number)
      expect(numbers.map((_, index) => packed.at(index))).toEqual(numbers)
      expect(packed.at(numbers.length)).toBe(0)
      expect(packed.max).toBeGreaterThanOrEqual(most)
    }),
  )
})

it('Issue 12.10: users of more than 16 MiB are found where they are', () => {
  const packed = new PackedUsers()
  const one = makeUser({ name: 'one', note: '~'.repeat(1_000) }, 0)
  const count = 16_500
  for (let index = 0; index < count; index += 1) packed.add({ ...one, id: `${index}` })
  packed.set(0, { ...one, id: 'changed' })
  expect([0, 1, count - 1].map((place) => packed.titleAt(place).id)).toEqual([
    'changed',
    '1',
    `${count - 1}`,
  ])
  expect([packed.pack().length > 2 ** 24, [...packed.places()].length]).toEqual([true, count])
})

it('Issue 12.10: round amounts and whole seconds take few bytes', () => {
  const lengthOf = (user: User): number => {
    const packed = new PackedUsers()
    packed.add(user)
    return packed.pack().length
  }
  const one = { ...makeUser({ name: 'one' }, 0), created: undefined }
  const base = lengthOf(one)
  const taken = [1e12, 1e12 + 1].map(
    (bytes) => lengthOf({ ...one, quota: { bytes, per: 'day' } }) - base,
  )
  expect(taken).toEqual([2, 6])
  const { created } = makeUser({ name: 'now' }, 1_795_891_234_567)
  expect(created).toBe(1_795_891_234_000)
  expect(lengthOf({ ...one, created }) - base).toBe(5)
})

it('Issue 12.10: users who come and go leave no places behind; who stays is found, in the old order', () => {
  const table = new UserTable()
  const staying = Array.from({ length: 50 }, (_, count) => makeUser({ name: `stays ${count}` }, 0))
  for (const one of staying) table.add(one)
  const added = vi.spyOn(PackedUsers.prototype, 'add')
  onTestFinished(() => added.mockRestore())
  const visits = 5_000
  for (let count = 0; count < visits; count += 1) {
    const guest = makeUser({ name: `guest ${count}` }, 0)
    table.change([{ before: undefined, after: guest }])
    table.change([{ before: guest, after: undefined }])
    expect(table.byId(guest.id)).toBeUndefined()
  }
  // Those who stay have moved together a few times: once for each thousand places.
  expect((added.mock.calls.length - visits) / staying.length).toBe(4)
  expect([...table]).toEqual(staying)
  for (const one of staying) {
    expect(table.get(one.name)).toEqual(one)
    expect(table.lookup(Buffer.from(one.hash, 'hex'))).toEqual(one)
  }
})

it('Issue 12.10: of many users each takes less than 150 bytes, places for more included', async () => {
  const table = new UserTable()
  const before = await held()
  for (let index = 0; index < 30_000; index += 1) {
    const quota = { bytes: 1e12, per: 'month' } as const
    table.add(makeUser({ name: `user ${index}`, quota }, Date.now()))
  }
  expect(((await held()) - before) / table.size).toBeLessThan(150)
})
