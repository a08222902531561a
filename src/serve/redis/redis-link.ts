// The connection to Redis: kept up, and each command answered or given up in bounded time.
import { createHash } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { Cluster, Redis } from 'ioredis'
import type { Address } from '../../codec/address.ts'
import { AnyTlsError } from '../../errors.ts'
import { systemCode } from '../files.ts'
import type { Reserved } from '../remote/reserved.ts'
import type { RedisPlace } from './redis-place.ts'

/** How long a command may take, and a connection until it can be used, in milliseconds. */
const COMMAND_PATIENCE = 1_500
const CONNECT_PATIENCE = 3_000

/** Between attempts to connect, in milliseconds. */
const MAX_PAUSE = 1_000

/** Why a command was not done, or nobody knows whether it was. */
export class RedisError extends Error {}

type Argument = string | number

export interface RedisLinkOptions {
  readonly place: RedisPlace
  readonly reserved: Reserved
  /** Told when commands can be given, anew after each time when they could not. */
  readonly onReady: () => void
  /** Told why there is no connection. */
  readonly onProblem: (problem: string) => void
}

export class RedisLink {
  readonly #options: RedisLinkOptions
  readonly #redis: Redis | Cluster
  readonly #hashes = new Map<string, string>()
  /** Since when it can be used, or is on the way to that. */
  #since = performance.now()

  constructor(options: RedisLinkOptions) {
    this.#options = options
    this.#redis = connect(options.place)
    this.#redis.on('error', (error: unknown) => options.onProblem(describe(error)))
    this.#redis.on('ready', () => options.onReady())
    for (const state of ['connecting', 'reconnecting', 'ready', 'close']) {
      this.#redis.on(state, () => (this.#since = performance.now()))
    }
    const reserve = (redis: Redis): void => {
      const { remoteAddress: host, remotePort: port } = redis.stream as {
        remoteAddress?: string
        remotePort?: number
      }
      if (host !== undefined && port !== undefined) options.reserved.add({ host, port })
    }
    if (this.#redis instanceof Redis) {
      const redis = this.#redis
      redis.on('connect', () => reserve(redis))
    } else {
      this.#redis.on('+node', (node: Redis) => node.on('connect', () => reserve(node)))
    }
  }

  /** The name of one of our keys, as Redis has it. */
  key(name: string): string {
    return this.#options.place.prefix + name
  }

  get isReady(): boolean {
    return this.#redis.status === 'ready'
  }

  /** Before anybody else could dial what its names lead to. */
  async open(): Promise<void> {
    await Promise.all(this.#options.place.hosts.map((host) => this.#reserveHost(host)))
    this.#redis.connect().catch(() => {})
  }

  /** To be called now and then: gives up a connection that neither comes nor fails. */
  look(): void {
    const isComing = this.#redis.status === 'connecting' || this.#redis.status === 'connect'
    if (isComing && performance.now() - this.#since > CONNECT_PATIENCE + COMMAND_PATIENCE) {
      this.#options.onProblem('it does not answer')
      this.#redis.disconnect(true)
    }
  }

  /** @throws RedisError rejects */
  async call(command: string, ...args: readonly Argument[]): Promise<unknown> {
    if (!this.isReady) throw new RedisError('there is no connection')
    try {
      return await this.#redis.call(command, ...args)
    } catch (error) {
      if (error instanceof Error && error.message === 'Command timed out')
        this.#redis.disconnect(true)
      throw new RedisError(describe(error), { cause: error })
    }
  }

  /** Several commands at once, which are answered in order. */
  all(
    commands: readonly (readonly [command: string, ...args: Argument[]])[],
  ): Promise<readonly unknown[]> {
    return Promise.all(commands.map(([command, ...args]) => this.call(command, ...args)))
  }

  /**
   * Runs Lua.
   *
   * @param names of our keys, see {@link key}
   * @throws RedisError rejects
   */
  async run(lua: string, names: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const keys = names.map((name) => this.key(name))
    let hash = this.#hashes.get(lua)
    if (hash === undefined) {
      hash = createHash('sha1').update(lua).digest('hex')
      this.#hashes.set(lua, hash)
    }
    try {
      return await this.call('EVALSHA', hash, keys.length, ...keys, ...args)
    } catch (error) {
      if (!isReply(error, 'NOSCRIPT')) throw error
      return await this.call('EVAL', lua, keys.length, ...keys, ...args)
    }
  }

  close(): void {
    this.#redis.disconnect()
  }

  async #reserveHost({ host, port }: Address): Promise<void> {
    try {
      const found = isIP(host) === 0 ? await lookup(host, { all: true }) : [{ address: host }]
      for (const { address } of found) this.#options.reserved.add({ host: address, port })
    } catch {
      // The connection says what is wrong.
    }
  }
}

function connect(place: RedisPlace): Redis | Cluster {
  const { hosts, username, password, database, tls, master } = place
  const pause = (times: number): number => Math.min(MAX_PAUSE, 50 * 2 ** Math.min(times, 10))
  const common = {
    protocol: 2 as const,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_PATIENCE,
    connectTimeout: CONNECT_PATIENCE,
    maxLoadingRetryTime: CONNECT_PATIENCE,
    disableClientInfo: true,
    connectionName: 'anytls',
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls: {} }),
  }
  const [first = { host: '127.0.0.1', port: 0 }] = hosts
  switch (place.kind) {
    case 'one':
      return new Redis({
        ...common,
        host: first.host,
        port: first.port,
        db: database,
        retryStrategy: pause,
      })
    case 'sentinel':
      return new Redis({
        ...common,
        sentinels: hosts.map(({ host, port }) => ({ host, port })),
        name: master,
        db: database,
        enableTLSForSentinelMode: tls,
        ...(tls && { sentinelTLS: {} }),
        sentinelCommandTimeout: COMMAND_PATIENCE,
        sentinelRetryStrategy: pause,
        retryStrategy: pause,
        // Who was the master may have become a replica.
        reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
      })
    case 'cluster':
      return new Cluster(
        hosts.map(({ host, port }) => ({ host, port })),
        {
          lazyConnect: true,
          enableOfflineQueue: false,
          clusterRetryStrategy: pause,
          redisOptions: common,
        },
      )
  }
}

/** Whether Redis itself has answered so. */
function isReply(error: unknown, code: string): boolean {
  const cause = error instanceof RedisError ? error.cause : error
  return cause instanceof Error && cause.message.startsWith(code)
}

/** Where our keys hold what is not ours. */
export const FOREIGN_KEYS =
  "its keys that begin as ours hold something else: another program's? (&prefix=)"

const REPLIES: readonly (readonly [start: RegExp, problem: string])[] = [
  [/^(?:WRONGPASS|NOAUTH|ERR AUTH|ERR invalid password)/, 'it refuses the password, or wants one'],
  [/^NOPERM/, 'its user may not do what is needed (NOPERM)'],
  [/^READONLY/, 'it is read-only: counts and changes wait'],
  [/^OOM/, 'its memory is full: counts and changes wait'],
  [/^MISCONF/, 'it cannot save, and takes nothing until it can (MISCONF)'],
  [/^NOREPLICAS/, 'it has too few replicas to take anything (NOREPLICAS)'],
  [/^(?:LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY)/, 'it is not ready yet'],
  [/WRONGTYPE/, FOREIGN_KEYS],
  [/^Command timed out/, 'it does not answer'],
  [/^All sentinels are unreachable/, 'no Sentinel can be reached, or none knows the master'],
  [/^(?:connect ETIMEDOUT|Failed to refresh slots)/, 'it cannot be reached'],
]

/** In words for people; what Redis says may have a part of a command in it, and is left out. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'something unexpected'
  const [, known] = REPLIES.find(([start]) => start.test(error.message)) ?? []
  if (known !== undefined) return known
  const code = systemCode(error)
  if (/CERT|VERIFY|ALTNAME/.test(code)) return `its certificate is not to be trusted (${code})`
  if (code !== '') return `it cannot be reached (${code})`
  if (error.name === 'ReplyError')
    return `it refuses a command (${error.message.split(' ', 1)[0]?.slice(0, 20)})`
  return 'there is no connection'
}

/** For a command that somebody waits for. */
export function asAnyTlsError(error: unknown, place: string): unknown {
  if (!(error instanceof RedisError)) return error
  return new AnyTlsError('ERR_CONNECT_FAILED', `${place}: ${error.message}`, { cause: error })
}
