// What is read anew and when: files that change, come one by one, or cannot be used; and on demand.
import { mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Reloader } from '../../src/serve/reload.ts'

/** A reloader of two files that must say the same, looked at every 10 ms. */
async function follow(files = true) {
  const folder = mkdtempSync(join(tmpdir(), 'reload-'))
  const [one, other] = [join(folder, 'one'), join(folder, 'other')]
  writeFileSync(one, 'a')
  writeFileSync(other, 'a')
  const said: string[] = []
  const reloader = new Reloader(
    {
      reloaded: (name) => said.push(`${name} read`),
      refused: (name, error) => said.push(`${name} refused: ${(error as Error).message}`),
    },
    10,
  )
  onTestFinished(() => {
    reloader.stop()
    rmSync(folder, { recursive: true })
  })
  let used = 'a'
  await reloader.add({
    name: 'pair',
    files: files ? [one, other] : [],
    reload() {
      const [first, second] = [readFileSync(one, 'utf8'), readFileSync(other, 'utf8')]
      if (first !== second) throw new Error(`${first} is not ${second}`)
      used = first
    },
  })
  return { folder, one, other, said, reloader, used: () => used }
}

describe('reading anew', () => {
  it('files that have not changed are left alone', async () => {
    const { said } = await follow()
    await sleep(100)
    expect(said).toEqual([])
  })

  it('files that come one after the other are used when both are there, and nothing is said of the time between', async () => {
    const { one, other, said, used } = await follow()
    writeFileSync(one, 'bb')
    await sleep(15)
    writeFileSync(`${other}.new`, 'bb')
    renameSync(`${other}.new`, other)
    await vi.waitFor(() => expect(used()).toBe('bb'))
    expect(said).toEqual(['pair read'])
  })

  it('links that lead to other files are noticed', async () => {
    const { folder, one, other, used } = await follow()
    writeFileSync(join(folder, 'target'), 'c')
    for (const name of [one, other]) {
      rmSync(name)
      symlinkSync(join(folder, 'target'), name)
    }
    await vi.waitFor(() => expect(used()).toBe('c'))
  })

  it('files that stay unusable are told of once, and the old stay in use until they are mended', async () => {
    const { one, said, used } = await follow()
    writeFileSync(one, 'bad')
    await vi.waitFor(() => expect(said).toEqual(['pair refused: bad is not a']))
    await sleep(100)
    expect(said).toHaveLength(1)
    expect(used()).toBe('a')
    rmSync(one)
    await vi.waitFor(() => expect(said).toHaveLength(2))
    expect(said[1]).toContain('ENOENT')
    writeFileSync(one, 'a')
    await vi.waitFor(() => expect(said.at(-1)).toBe('pair read'))
  })

  it('on demand everything is read and told at once', async () => {
    const { one, other, said, reloader, used } = await follow(false)
    writeFileSync(one, 'b')
    await reloader.all()
    expect(said).toEqual(['pair refused: b is not a'])
    writeFileSync(other, 'b')
    await sleep(50)
    expect(used()).toBe('a')
    await Promise.all([reloader.all(), reloader.all()])
    expect(used()).toBe('b')
    expect(said.slice(1)).toEqual(['pair read', 'pair read'])
  })

  it('nothing is followed once it has been stopped', async () => {
    const { one, other, said, reloader } = await follow()
    reloader.stop()
    writeFileSync(one, 'b')
    writeFileSync(other, 'b')
    await sleep(60)
    await reloader.all()
    expect(said).toEqual([])
  })
})
