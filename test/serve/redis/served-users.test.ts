// Who is served of the users in Redis, without a Redis.
import { expect, it } from 'vitest'
import { ServedUsers } from '../../../src/serve/redis/served-users.ts'
import { Trouble } from '../../../src/serve/remote/trouble.ts'
import { UserTable } from '../../../src/serve/users/user-table.ts'
import { makeUser } from '../../../src/serve/users/user.ts'
import { formatUser } from '../../../src/serve/users/users-file.ts'

it('bad input: of two records with one name, password or subscription one is served, also by workers', () => {
  const one = makeUser({ name: 'one', password: 'p' }, 0)
  const two = makeUser({ name: 'two', password: 'q' }, 0)
  const others = [
    { ...two, name: one.name },
    { ...two, password: one.password, hash: one.hash },
    { ...two, subscription: one.subscription },
  ]
  const nobody = new Set<string>()
  for (const other of others) {
    for (const [taken, at] of [
      [[one, other], 'once'],
      [[one, other], 'in turn'],
    ] as const) {
      const served = new ServedUsers(new Trouble('Redis', () => {}))
      served.begin()
      served.settle(nobody)
      for (const user of taken) {
        served.take(user.id, formatUser(user), nobody)
        if (at === 'in turn') served.settleSome([user.id], nobody)
      }
      if (at === 'once') {
        served.settleSome(
          taken.map(({ id }) => id),
          nobody,
        )
      }
      expect([...served.users].map(({ id }) => id)).toEqual([one.id])
      expect(UserTable.unpack(served.users.pack()).size).toBe(1)
    }
  }
})
