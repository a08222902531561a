// Requests to a panel, and what becomes of them.
// Must never repeat the token in an error.
import { lookup } from 'node:dns'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { LookupFunction } from 'node:net'
import { isLoopback } from '../../codec/network.ts'
import { systemCode } from '../files.ts'
import type { Reserved } from '../remote/reserved.ts'
import type { PanelPlace } from './panel-place.ts'

/** How long a request may take in all, in milliseconds. */
const PATIENCE = 15_000

/** The most that an answer may hold, in bytes: more than 100,000 users. */
const MAX_ANSWER = 33_554_432

/** Nodes of this kind serve users of these panels. */
const NODE_TYPE = 'anytls'

/** Why there is no answer that can be used, in words for people. */
export class PanelError extends Error {
  /** Whether the panel may have done what was asked: nothing says that it has not. */
  readonly mayHaveTaken: boolean
  /** 0 where there was none. */
  readonly status: number

  constructor(
    problem: string,
    { mayHaveTaken = false, status = 0, cause }: PanelErrorOptions = {},
  ) {
    super(problem, { cause })
    this.mayHaveTaken = mayHaveTaken
    this.status = status
  }
}

interface PanelErrorOptions {
  readonly mayHaveTaken?: boolean
  readonly status?: number
  readonly cause?: unknown
}

export interface PanelAnswer {
  readonly json: unknown
  readonly etag: string | undefined
}

interface PanelRequest {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: string
  readonly etag?: string | undefined
}

export interface PanelClientOptions {
  readonly place: PanelPlace
  readonly token: () => string
  readonly reserved: Reserved
  /** In milliseconds, for tests. */
  readonly patience?: number | undefined
}

export class PanelClient {
  readonly #options: PanelClientOptions

  constructor(options: PanelClientOptions) {
    this.#options = options
  }

  /**
   * @param etag of the answer that is known
   * @returns `undefined` where that is still the answer
   * @throws PanelError rejects
   */
  get(path: string, etag?: string): Promise<PanelAnswer | undefined> {
    return this.#ask({ method: 'GET', path, etag })
  }

  /** @throws PanelError rejects */
  async post(path: string, body: unknown): Promise<void> {
    await this.#ask({ method: 'POST', path, body: JSON.stringify(body) })
  }

  #ask(request: PanelRequest): Promise<PanelAnswer | undefined> {
    const { place, token, patience = PATIENCE } = this.#options
    const { base, node } = place
    const url = new URL(base)
    url.pathname = `${base.pathname.replace(/\/$/, '')}/api/v1/server/UniProxy/${request.path}`
    url.search = new URLSearchParams({
      token: token(),
      node_id: node,
      node_type: NODE_TYPE,
    }).toString()
    const { method, body, etag } = request
    return new Promise((resolve, reject) => {
      let isSent = false
      const fail = (problem: string, cause?: unknown): void => {
        reject(new PanelError(problem, { mayHaveTaken: isSent, cause }))
        sent.destroy()
      }
      const protocol = process.getBuiltinModule(
        url.protocol === 'https:' ? 'node:https' : 'node:http',
      )
      const sent = protocol.request(url, {
        method,
        agent: false,
        lookup: this.#lookup(),
        signal: AbortSignal.timeout(patience),
        headers: {
          accept: 'application/json',
          'user-agent': 'anytls',
          ...(body !== undefined && {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
          }),
          ...(etag !== undefined && { 'if-none-match': etag }),
        },
      })
      sent.once('socket', (socket) => {
        const established = url.protocol === 'https:' ? 'secureConnect' : 'connect'
        socket.once(established, () => (isSent = true))
      })
      sent.once('response', (response) => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > MAX_ANSWER) fail(`its answer is larger than ${MAX_ANSWER} bytes`)
          else chunks.push(chunk)
        })
        response.on('error', (error) => fail(problemOf(error), error))
        response.once('close', () => {
          if (!response.complete) fail('its answer ended too early')
        })
        response.once('end', () => {
          if (!response.complete) return
          try {
            resolve(readAnswer(response, Buffer.concat(chunks).toString('utf8')))
          } catch (error) {
            reject(error instanceof Error ? error : new PanelError(String(error)))
          }
        })
      })
      sent.on('error', (error) => fail(problemOf(error), error))
      const { hostname, port } = url
      const host = hostname.replace(/^\[(.*)\]$/, '$1')
      if (isIP(host) !== 0) this.#options.reserved.add({ host, port: Number(port || portOf(url)) })
      sent.end(body)
    })
  }

  /** Resolves as usual, and tells of what it finds. */
  #lookup(): LookupFunction {
    const { place, reserved } = this.#options
    const { base } = place
    const port = Number(base.port || portOf(base))
    return (hostname, options, callback) => {
      lookup(hostname, { ...options, all: true }, (error, found) => {
        if (error !== null) {
          callback(error, '')
          return
        }
        const usable =
          base.protocol === 'https:' ? found : found.filter(({ address }) => isLoopback(address))
        for (const { address } of usable) reserved.add({ host: address, port })
        const [first] = usable
        if (first === undefined) callback(new Error('its name leads away from this machine'), '')
        else if (options.all === true) callback(null, usable)
        else callback(null, first.address, first.family)
      })
    }
  }
}

function portOf({ protocol }: URL): number {
  return protocol === 'https:' ? 443 : 80
}

/** @throws PanelError */
function readAnswer(
  { statusCode: status = 0, headers }: IncomingMessage,
  text: string,
): PanelAnswer | undefined {
  if (status === 304) return undefined
  if (status < 200 || status > 299) {
    // A gateway that waited in vain does not know what became of it.
    const mayHaveTaken = status === 504
    throw new PanelError(describeStatus(status), { mayHaveTaken, status })
  }
  try {
    return { json: text === '' ? undefined : (JSON.parse(text) as unknown), etag: headers.etag }
  } catch (cause) {
    throw new PanelError('its answer is no JSON', { status, cause })
  }
}

function describeStatus(status: number): string {
  if (status === 401 || status === 403) return `it refuses the token (status ${status})`
  if (status >= 300 && status < 400)
    return `it sends us elsewhere (status ${status}): name its own address`
  return `it answers with status ${status}`
}

function problemOf(error: Error): string {
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'it took too long'
  const code = systemCode(error)
  if (code === '') return error.message
  if (/CERT|VERIFY/.test(code)) return `its certificate is not to be trusted (${code})`
  return code.startsWith('HPE_')
    ? `its answer is no HTTP (${code})`
    : `it cannot be reached (${code})`
}
