// Two servers whose users are in one Redis, as an operator runs them: who is added may use both, what is used is one
// sum, and Redis and servers that are killed harm nobody.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { parseShareLink } from '../../src/serve/share-link.ts'
import type { Session } from '../../src/session/session.ts'
import { childrenOf } from '../e2e/failures/processes.ts'
import { makeFolder } from '../serve/support.ts'
import { PASSWORD, startRedis } from '../serve/redis/redis.ts'
import { login, startTarget } from './login.ts'
import { runProgram, stop } from './run-program.ts'
import type { Program } from './run-program.ts'

async function run(place: string, ...args: readonly string[]): Promise<string> {
  const program = runProgram(['user', ...args, '--state-dir', makeFolder()], {
    ANYTLS_USERS: place,
  })
  const { code } = await program.ended
  if (code !== 0) throw new Error(program.stderr())
  return program.stdout()
}

interface Started {
  readonly program: Program
  readonly port: number
  readonly health: () => Promise<string>
}

async function startServer(
  place: string,
  folder: string,
  ...flags: readonly string[]
): Promise<Started> {
  const more = ['--state-dir', folder, '--admin', '127.0.0.1:0', '--log-level', 'debug', ...flags]
  const args = ['server', '-l', '127.0.0.1:0', '--public-host', 'h.example:443', ...more]
  const program = runProgram(args, { ANYTLS_USERS: place })
  onTestFinished(() => stop(program))
  const [, admin = ''] = await program.said(/admin on 127\.0\.0\.1:(\d+)/)
  const [, port = ''] = await program.said(/listening on [\d.]+:(\d+)/)
  const health = async () => (await fetch(`http://127.0.0.1:${admin}/healthz`)).text()
  return { program, port: Number(port), health }
}

async function echo(session: Session, port: number, bytes: number): Promise<number> {
  const target = { host: '127.0.0.1', port }
  const stream = await createTunnelOpener(session)(target, AbortSignal.timeout(5_000))
  stream.end(Buffer.alloc(bytes))
  let got = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) got += chunk.length
  return got
}

describe('servers with one Redis', { timeout: 60_000 }, () => {
  it('Issue 13.3: add, serve at both, count once over kill -9 of Redis and of a server, revoke at both', async () => {
    const redis = await startRedis('--requirepass', PASSWORD, '--appendonly', 'yes')
    const place = `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${redis.port}`
    const link = await run(place, 'add', 'anna', '--allow-private', '--public-host', 'h.example')
    const { password = '' } = parseShareLink(link.trim())
    const folders = [makeFolder(), makeFolder()] as const
    const [one, two, target] = await Promise.all([
      startServer(place, folders[0]),
      startServer(place, folders[1]),
      startTarget(),
    ])
    expect(readFileSync(`/proc/${one.program.child.pid}/cmdline`, 'utf8')).not.toContain('secret')
    const [first, second] = [await login(one.port, password), await login(two.port, password)]
    expect(await echo(first, target, 1_000)).toBe(1_000)
    expect(await echo(second, target, 200)).toBe(200)
    // Nobody gets to Redis through a server.
    await expect(echo(first, redis.port, 1)).rejects.toThrow()
    const list = async () => JSON.parse(await run(place, 'list', '--json')) as unknown[]
    await vi.waitFor(
      async () => expect(await list()).toMatchObject([{ up: 1_200, down: 1_200, sessions: 2 }]),
      { timeout: 10_000, interval: 500 },
    )
    expect(await one.health()).toBe('ok\n')
    await redis.kill()
    await vi.waitFor(async () => expect(await two.health()).toBe('degraded\n'), 5_000)
    expect(await echo(await login(two.port, password), target, 30)).toBe(30)
    // Counts are on disk after two seconds; a server that starts now knows whom it knew.
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    two.program.child.kill('SIGKILL')
    await two.program.ended
    const again = await startServer(place, folders[1])
    const third = await login(again.port, password)
    expect(await echo(third, target, 4)).toBe(4)
    await redis.start()
    await vi.waitFor(async () => expect(await list()).toMatchObject([{ up: 1_234, down: 1_234 }]), {
      timeout: 12_000,
      interval: 500,
    })
    await vi.waitFor(async () => expect(await again.health()).toBe('ok\n'), 5_000)
    const over = [once(first, 'close'), once(third, 'close')]
    await run(place, 'disable', 'anna')
    const started = performance.now()
    await Promise.all(over)
    expect(performance.now() - started).toBeLessThan(2_000)
    for (const { program } of [one, again]) {
      program.child.kill('SIGTERM')
      expect((await program.ended).code).toBe(0)
      expect(program.stderr()).not.toMatch(/redis-secret/)
    }
    expect(await list()).toMatchObject([{ up: 1_234, down: 1_234, enabled: false, sessions: 0 }])
  })

  it('Issue 13.3: what two workers count arrives in Redis once, over kill -9 of one; limits hold over both', async () => {
    const redis = await startRedis()
    const added = await run(
      redis.place,
      ...['add', 'anna', '--allow-private', '--public-host', 'h.example', '--max-sessions', '2'],
    )
    const { password = '' } = parseShareLink(added.trim())
    const [server, target] = [
      await startServer(redis.place, makeFolder(), '--workers', '2'),
      await startTarget(),
    ]
    const sessions = [await login(server.port, password), await login(server.port, password)]
    for (const [index, session] of sessions.entries()) {
      expect(await echo(session, target, 1_000 + index)).toBe(1_000 + index)
    }
    await once(await login(server.port, password), 'close')
    const list = async () => JSON.parse(await run(redis.place, 'list', '--json')) as unknown[]
    const counted = async (bytes: number, sessions: number) =>
      vi.waitFor(
        async () => expect(await list()).toMatchObject([{ up: bytes, down: bytes, sessions }]),
        { timeout: 10_000, interval: 500 },
      )
    await counted(2_001, 2)
    const [worker = 0] = childrenOf(server.program.child.pid ?? 0)
    process.kill(worker, 'SIGKILL')
    await vi.waitFor(() => expect(sessions.some(({ closed }) => closed)).toBe(true), 3_000)
    expect(await echo(await login(server.port, password), target, 30)).toBe(30)
    await counted(2_031, 2)
    server.program.child.kill('SIGTERM')
    expect((await server.program.ended).code).toBe(0)
    await counted(2_031, 0)
  })
})
