// A real Redis for a test: on a free port, in a folder of its own.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { makeUser } from '../../../src/serve/users/user.ts'
import type { NewUser, User } from '../../../src/serve/users/user.ts'
import { formatUser } from '../../../src/serve/users/users-file.ts'
import { closedPort } from '../../proxy/support.ts'
import { makeFolder } from '../support.ts'

export const PASSWORD = 'redis-secret-%@'

export class TestRedis {
  readonly port: number
  readonly #folder: string
  readonly #args: readonly string[]
  #child: ChildProcess | undefined

  /** @param folder for what it saves; by default one that goes with the test */
  constructor(port: number, args: readonly string[], folder = makeFolder()) {
    this.port = port
    this.#args = args
    this.#folder = folder
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get place(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it, again with what it saved if it saved anything. */
  async start(): Promise<void> {
    const base = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder]
    this.#child = spawn('redis-server', [...base, '--save', '', ...this.#args], {
      stdio: 'ignore',
    })
    await until(() => this.command('PING').then((answer) => /PONG|NOAUTH/.test(answer)))
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (child?.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  /** What Redis answers, as it comes; rejects when it cannot be reached. */
  command(...words: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1')
      let text = ''
      socket.on('error', reject)
      socket.on('data', (data: Buffer) => {
        text += data.toString()
        socket.setTimeout(20)
      })
      socket.on('timeout', () => socket.destroy())
      socket.on('close', () => resolve(text))
      socket.write(commandOf(words))
    })
  }
}

/** Puts users there as `user add` does, but many at once. */
export async function addMany(
  { port }: TestRedis,
  count: number,
  more: Omit<NewUser, 'name'> = {},
): Promise<readonly User[]> {
  const users = Array.from({ length: count }, (_, index) =>
    makeUser({ ...more, name: `user ${index}` }, Date.now()),
  )
  const socket = connect(port, '127.0.0.1')
  let [asked, answered] = [0, 0]
  socket.on('data', (data: Buffer) => (answered += data.toString('latin1').split('\n').length - 1))
  for (const user of users) {
    const fields = [
      ['users', user.id, formatUser(user)],
      ['names', user.name, user.id],
      ['hashes', user.hash, user.id],
    ] as const
    for (const [key, field, value] of fields) {
      asked += 1
      const words = ['HSET', `{anytls}:${key}`, field, value]
      if (!socket.write(commandOf(words))) await once(socket, 'drain')
    }
  }
  while (answered < asked) await sleep(20)
  socket.destroy()
  return users
}

function commandOf(words: readonly string[]): string {
  const lines = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
  return `*${words.length}\r\n${lines.join('')}`
}

export async function startRedis(...args: readonly string[]): Promise<TestRedis> {
  const redis = new TestRedis(await closedPort(), args)
  onTestFinished(() => redis.kill())
  await redis.start()
  return redis
}

/** Looks until it is so, 10 s at most; what rejects is not so yet. */
export async function until(
  isSo: () => Promise<boolean> | boolean,
  patience = 10_000,
): Promise<void> {
  const end = performance.now() + patience
  const isSoNow = async () => isSo()
  while (!(await isSoNow().catch(() => false))) {
    if (performance.now() > end) throw new Error('it did not come about')
    await sleep(20)
  }
}
