// The store in a file: several writers, faults while it runs, and what a lookup costs.
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withLock } from '../../src/serve/file-lock.ts'
import { KnownUsers } from '../../src/serve/remote/known-users.ts'
import { changeUser, hashOf, makeUser } from '../../src/serve/users/user.ts'
import type { UserChange } from '../../src/serve/users/user-table.ts'
import { slowestToQuickest } from '../support/timing.ts'
import { formatUsers } from '../../src/serve/users/users-file.ts'
import { makeFolder, openStore, tableOf } from './support.ts'

describe('Issue 12.1: the users file', () => {
  it('takes the changes of several writers at once, each of them whole', async () => {
    const { file, store } = await openStore()
    const others = await Promise.all([openStore(file), openStore(file)])
    const stores = [store, ...others.map((other) => other.store)]
    const names = Array.from({ length: 24 }, (_, index) => `user ${index}`)
    await Promise.all(names.map((name, index) => stores[index % 3]!.add({ name })))
    await Promise.all([
      store.update('user 1', { enabled: false }),
      stores[1]!.remove('user 2'),
      stores[2]!.update('user 1', { note: 'seen' }),
    ])
    const { store: reader } = await openStore(file)
    expect([...reader.users].map(({ name }) => name).sort()).toEqual(
      names.filter((name) => name !== 'user 2').sort(),
    )
    expect(reader.users.get('user 1')).toMatchObject({ enabled: false, note: 'seen' })
    // Nothing but the owner may read it, and no lock or half a file is left.
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const left = readdirSync(dirname(file)).filter((name) => /lock|tmp/.test(name))
    expect(left).toEqual([])
  })

  it('Issue 12.10: a large file is read line by line, as one that a hand has changed is, and its faults have their place', async () => {
    const { file, store, warnings } = await openStore()
    const made = Array.from({ length: 1_100 }, (_, index) => {
      return makeUser({ name: `user ${index}`, note: `né "x"\\, ${'n'.repeat(900)}` }, 0)
    })
    const text = formatUsers(made)
    const lines = text.split('\n')
    const twice = lines.with(600, lines[500]!)
    const texts = {
      asWritten: text,
      byHand: text.replace('"users"', ' "users"').replaceAll('"name":', '"name" : '),
      faulty: text.replace('"user 800",', '"user 800","nam":1,'),
      torn: text.slice(0, -100),
      twice: twice.join('\n'),
      more: `${text}{}`,
      latin: Buffer.from(text, 'latin1'),
    }
    expect(text.length).toBeGreaterThan(1_048_576)
    const now = async (content: string | Buffer) => {
      writeFileSync(file, content)
      await store.refresh()
      return [[...store.users], warnings.splice(0)] as const
    }
    expect(await now(texts.asWritten)).toEqual([made, []])
    expect(await now(texts.byHand)).toEqual([made, []])
    for (const [name, problem] of [
      ['faulty', /line 802, column \d+: "nam" is not known here/],
      ['torn', /line 1101, column \d+: it is not valid JSON/],
      ['twice', /line 601, column \d+: another user has this name/],
      ['more', /line 1103, column 1: /],
      ['latin', /is not UTF-8 text/],
    ] as const) {
      const [users, [warning]] = await now(texts[name])
      expect([name, users.length, warning]).toEqual([name, 1_100, expect.stringMatching(problem)])
    }
  })

  it('a file of more than 64 MiB is refused, however well it is written, and keeps the users', async () => {
    const { file, store, warnings } = await openStore()
    await store.add({ name: 'one' })
    const many = Array.from({ length: 68_000 }, (_, index) => {
      const hash = index.toString(16).padStart(64, '0')
      return `{"name":"user ${index}","hash":"${hash}","note":"${'n'.repeat(900)}"}`
    })
    writeFileSync(file, `{"version":1,"users":[\n${many.join(',\n')}\n]}\n`, { mode: 0o600 })
    expect(statSync(file).size).toBeGreaterThan(64 << 20)
    await store.refresh()
    expect([...store.users].map(({ name }) => name)).toEqual(['one'])
    expect(warnings.join()).toContain('is larger than 67108864 bytes')
  })

  it('a name or a password that is there, and a user who is not, are errors that change nothing', async () => {
    const { file, store } = await openStore()
    await store.add({ name: 'a', password: 'x' })
    const before = readFileSync(file, 'utf8')
    await expect(store.add({ name: 'a' })).rejects.toMatchObject({ code: 'ERR_USER_EXISTS' })
    await expect(store.add({ name: 'b', password: 'x' })).rejects.toMatchObject({
      code: 'ERR_USER_EXISTS',
    })
    await expect(store.update('b', {})).rejects.toMatchObject({ code: 'ERR_USER_UNKNOWN' })
    await expect(store.remove('b')).rejects.toMatchObject({ code: 'ERR_USER_UNKNOWN' })
    expect(readFileSync(file, 'utf8')).toBe(before)
  })

  it('a fault in the file keeps the users, and is told once with its place; so is a file that has gone', async () => {
    const { file, store, warnings } = await openStore()
    await store.add({ name: 'a', password: 'x' })
    store.watch(() => {})
    const good = readFileSync(file, 'utf8')
    writeFileSync(file, good.replace('"enabled"', '"enable"'))
    await sleep(1_200)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/line 2, column \d+: "enable" is not known here; the users stay/)
    expect(store.users.size).toBe(1)
    writeFileSync(file, good)
    await store.refresh()
    expect(warnings).toHaveLength(1)
  })

  it('changes are told within 2 s, with what was before', async () => {
    const { file, store } = await openStore()
    await store.add({ name: 'a', password: 'x' })
    const told: UserChange[] = []
    store.watch((changes) => told.push(...changes))
    const other = await openStore(file)
    await other.store.update('a', { note: 'n' })
    await other.store.add({ name: 'b' })
    await sleep(1_200)
    expect(told.map(({ before, after }) => [before?.note, after?.name])).toEqual(
      expect.arrayContaining([
        [undefined, 'a'],
        [undefined, 'b'],
      ]),
    )
    expect(store.users.size).toBe(2)
  })

  it('a lock whose process has ended is nobody`s', async () => {
    const { file, store } = await openStore()
    // No process has this number.
    writeFileSync(`${file}.lock`, `4194999 ${(await import('node:os')).hostname()} token`)
    chmodSync(`${file}.lock`, 0o600)
    const started = performance.now()
    await store.add({ name: 'a' })
    expect(performance.now() - started).toBeLessThan(1_000)
  })

  it('one task after the other holds a lock', async () => {
    const { file } = await openStore()
    let [inside, most] = [0, 0]
    const task = async () => {
      inside += 1
      most = Math.max(most, inside)
      await sleep(2)
      inside -= 1
    }
    await Promise.all(Array.from({ length: 10 }, () => withLock(file, task)))
    expect(most).toBe(1)
  })
})

it('Issue 12.1, D55: a lookup costs the same for one user and for 100,000, found or not, near miss or far', () => {
  const base = makeUser({ name: 'base', password: 'base', hashOnly: true }, 0)
  const table = (size: number) =>
    tableOf(
      Array.from({ length: size }, (_, index) => {
        return { ...base, id: `${index}`, name: `${index}`, hash: hashOf(`${index}`) }
      }),
    )
  const known = Buffer.from(hashOf('0'), 'hex')
  const near = Buffer.from(known)
  near[31]! ^= 1
  const far = Buffer.alloc(32, 7)
  const [one, many] = [table(1), table(100_000)]
  expect([one.lookup(known)?.name, many.lookup(known)?.name]).toEqual(['0', '0'])
  expect([many.lookup(near), many.lookup(far)]).toEqual([undefined, undefined])
  const sizes = { one: () => one.lookup(known), many: () => many.lookup(known) }
  const misses = { near: () => many.lookup(near), far: () => many.lookup(far) }
  expect(slowestToQuickest(sizes, 1.3)).toBeLessThan(1.3)
  expect(slowestToQuickest(misses, 1.3)).toBeLessThan(1.3)
})

describe('UserTable', () => {
  it('Issue 13.7: changing some is as replacing all, whoever comes, goes, or gets another name or password', () => {
    const kinds = fc.constantFrom(
      'stays',
      'goes',
      'is renamed',
      'has another password',
      'is disabled',
    )
    fc.assert(
      fc.property(fc.array(kinds, { maxLength: 12 }), fc.nat(4), (fates, added) => {
        const users = fates.map((_, index) => makeUser({ name: `user ${index}` }, 0))
        const changes = users.map((before, index): UserChange => {
          const fate = fates[index]
          if (fate === 'goes') return { before, after: undefined }
          if (fate === 'is renamed') return { before, after: { ...before, name: `new ${index}` } }
          if (fate === 'is disabled') return { before, after: { ...before, enabled: false } }
          if (fate === 'stays') return { before, after: before }
          return { before, after: changeUser(before, { password: `another ${index}` }) }
        })
        for (let count = 0; count < added; count += 1) {
          changes.push({ before: undefined, after: makeUser({ name: `added ${count}` }, 0) })
        }
        const [some, all] = [tableOf(users), tableOf(users)]
        const told = some.change(changes)
        const after = changes.flatMap((change) => change.after ?? [])
        const byId = (list: readonly UserChange[]) =>
          list.toSorted((one, other) => idOf(one).localeCompare(idOf(other)))
        const others = tableOf(after)
        expect(byId(told)).toEqual(byId(all.changesTo(others)))
        all.become(others)
        expect([...some].map(({ id }) => id).sort()).toEqual([...all].map(({ id }) => id).sort())
        for (const user of [...users, ...after]) {
          expect(some.get(user.name)).toEqual(all.get(user.name))
          const hash = Buffer.from(user.hash, 'hex')
          expect(some.lookup(hash)).toEqual(all.lookup(hash))
        }
      }),
    )
  })

  it('Issue 13.7: the users known last are written at once, and then as often as leaves the time to serve', async () => {
    const path = join(makeFolder(), 'known')
    const known = new KnownUsers(path, () => expect.unreachable())
    const many = Array.from({ length: 2_000 }, (_, index) => makeUser({ name: `user ${index}` }, 0))
    known.keep(() => many)
    expect(known.read()?.size).toBe(2_000)
    known.keep(() => many.slice(1))
    expect(known.read()?.size).toBe(2_000)
    known.keep(() => many.slice(2))
    await expect.poll(() => known.read()?.size, { timeout: 15_000 }).toBe(1_998)
    known.keep(() => [])
    known.flush()
    expect(known.read()?.size).toBe(0)
  })

  it('bad input: users known last that cannot be read are one line, and nobody', () => {
    const path = join(makeFolder(), 'known')
    symlinkSync(path, path)
    const warnings: string[] = []
    expect(new KnownUsers(path, (line) => warnings.push(line)).read()).toBeUndefined()
    expect(warnings).toEqual([expect.stringMatching(/cannot read .*known/)])
  })
})

const idOf = ({ before, after }: UserChange): string => before?.id ?? after?.id ?? ''
