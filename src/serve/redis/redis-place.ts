// `redis://…`: which Redis, how to log in, and under which keys.
// Must never hold a password where the place is shown, or repeat a place that cannot be read.
import type { Address } from '../../codec/address.ts'
import { formatHostPort, parseHostPort } from '../../codec/host-port.ts'
import { invalidOption } from '../../errors.ts'
import type { AnyTlsError } from '../../errors.ts'
import { readSecretFile } from '../files.ts'

const PORT = 6_379
const SENTINEL_PORT = 26_379

/** In front of our keys, and what Redis Cluster puts them into one slot by. */
const DEFAULT_PREFIX = 'anytls'

export interface RedisPlace {
  /** As it may be shown. */
  readonly shown: string
  readonly tls: boolean
  /** Those of Redis, of Sentinels, or of some nodes of a cluster. */
  readonly hosts: readonly Address[]
  readonly kind: 'one' | 'sentinel' | 'cluster'
  /** The name by which Sentinels know the master. */
  readonly master: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database: number
  readonly prefix: string
}

const PARAMETERS = ['password-file', 'sentinel', 'cluster', 'prefix'] as const

/**
 * Reads `redis[s]://[USER[:PASSWORD]@]HOST[:PORT][,HOST…][/DATABASE][?password-file=F&sentinel=MASTER&cluster=1&prefix=P]`.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`, without a part of the text, which may be a password; `ERR_FILE`
 */
export function parseRedisPlace(text: string): RedisPlace {
  const match = /^(rediss?):\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/(\d{0,3}))?(?:\?([^#]*))?$/i.exec(
    text,
  )
  if (match === null) throw invalid('it is written redis://:PASSWORD@HOST:PORT/DATABASE')
  const [, scheme = '', login = '', authority = '', database = '', query = ''] = match
  const parameters = new URLSearchParams(query)
  for (const key of parameters.keys()) {
    if (!(PARAMETERS as readonly string[]).includes(key)) {
      throw invalid(`after the question mark it has another than ${PARAMETERS.join(', ')}`)
    }
  }
  const master = parameters.get('sentinel') ?? ''
  const isCluster = parameters.get('cluster') === '1'
  if (isCluster && master !== '') throw invalid('sentinel and cluster exclude each other')
  if (isCluster && Number(database) > 0) throw invalid('a cluster has no databases but 0')
  const kind = isCluster ? 'cluster' : master === '' ? 'one' : 'sentinel'
  const hosts = authority.split(',').map((host) => readHost(host, kind === 'sentinel'))
  if (kind === 'one' && hosts.length > 1) {
    throw invalid('several hosts are for sentinel=MASTER or cluster=1')
  }
  const prefix = parameters.get('prefix') ?? DEFAULT_PREFIX
  if (!/^[\w.:-]{1,64}$/.test(prefix))
    throw invalid('the prefix has other characters than a-z, 0-9, _ . : -')
  const [username = '', ...rest] = login.split(':')
  const file = parameters.get('password-file')
  const password = file === null ? decode(rest.join(':')) : readSecretFile(file, 'password file')
  const tls = scheme.toLowerCase() === 'rediss'
  const shownHosts = hosts.map((host) => formatHostPort(host)).join(',')
  const shown = `${tls ? 'rediss' : 'redis'}://${shownHosts}/${Number(database)}`
  return {
    shown: prefix === DEFAULT_PREFIX ? shown : `${shown}?prefix=${prefix}`,
    tls,
    hosts,
    kind,
    master,
    username: username === '' ? undefined : decode(username),
    password: password === '' ? undefined : password,
    database: Number(database),
    prefix: `{${prefix}}:`,
  }
}

function readHost(text: string, isSentinel: boolean): Address {
  try {
    return parseHostPort(text, isSentinel ? SENTINEL_PORT : PORT)
  } catch {
    throw invalid('a host of it is none')
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid('name or password have a % that is not followed by two digits: %25 is one')
  }
}

function invalid(problem: string): AnyTlsError {
  return invalidOption(`the Redis that --users names: ${problem}`)
}
