// The admin server: HTTP/1.1 for whoever runs the server, on an address of its own.
// Must never answer without the guard's word but for /healthz.
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { AnyTlsError } from '../../errors.ts'
import { systemCode } from '../files.ts'
import { failure, send } from './answer.ts'
import type { Answer } from './answer.ts'
import { Guard } from './guard.ts'
import type { GuardOptions } from './guard.ts'
import type { DescribedRoute } from './openapi.ts'
import { pageAt } from './page.ts'
import { Router, splitTarget } from './router.ts'
import type { Call } from './router.ts'
import { createRoutes } from './routes.ts'
import type { ApiOptions } from './routes.ts'

export interface AdminOptions extends GuardOptions, Omit<ApiOptions, 'wantsToken' | 'isDraining'> {
  /** Told of what went wrong here and not at who asked. */
  readonly failed: (error: unknown) => void
}

const LIMITS = {
  /** Connections at once. */
  connections: 256,
  /** Bytes. */
  headers: 16_384,
  body: 65_536,
  /** Milliseconds. */
  headersTime: 10_000,
  requestTime: 20_000,
  keepAlive: 10_000,
}

/** Errors that say no more than that who asked is wrong have these codes. */
const NO_FAULT = /^ERR_(?:REQUEST_(?!FAILED)|OPTION_|USER_)/

export class AdminServer {
  /** Not listening yet. */
  readonly http: HttpServer
  readonly #guard: Guard
  readonly #router: Router<DescribedRoute>
  readonly #failed: AdminOptions['failed']
  #draining = false

  constructor(options: AdminOptions) {
    this.#guard = new Guard(options)
    this.#router = new Router(
      createRoutes({
        ...options,
        wantsToken: () => this.#guard.wantsToken,
        isDraining: () => this.#draining,
      }),
    )
    this.#failed = options.failed
    this.http = process.getBuiltinModule('node:http').createServer(
      {
        maxHeaderSize: LIMITS.headers,
        headersTimeout: LIMITS.headersTime,
        requestTimeout: LIMITS.requestTime,
        keepAliveTimeout: LIMITS.keepAlive,
        connectionsCheckingInterval: 5_000,
        // The guard says it in JSON.
        requireHostHeader: false,
      },
      (request, response) => void this.#serve(request, response),
    )
    this.http.maxConnections = LIMITS.connections
    this.http.on('clientError', refuseConnection)
  }

  /** Wants another token from now on. */
  setToken(token: string | undefined): void {
    this.#guard.setToken(token)
  }

  /** Says from now on that the server takes nobody new. */
  drain(): void {
    this.#draining = true
  }

  /** Stops at once. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.http.close(() => resolve()))
    this.http.closeAllConnections()
    await closed
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', ignore)
    response.on('error', ignore)
    let answer: Answer
    try {
      answer = await this.#answer(request)
    } catch (error) {
      const isOurs = error instanceof AnyTlsError && NO_FAULT.test(error.code)
      if (!isOurs) this.#failed(error)
      answer = failure(error, headersFor(error))
    }
    // What was not read of the body is not waited for.
    if (!request.complete) response.setHeader('Connection', 'close')
    send(response, answer)
  }

  #answer(request: IncomingMessage): Answer | Promise<Answer> {
    const { method = '', url = '', headers } = request
    const [path, query] = splitTarget(url)
    const page = method === 'GET' || method === 'HEAD' ? pageAt(path) : undefined
    if (page !== undefined) {
      this.#guard.checkHost(headers)
      return page
    }
    const match = this.#router.match(method, path)
    if ('allowed' in match) {
      this.#guard.check(headers)
      return failure(new AnyTlsError('ERR_REQUEST_METHOD'), { Allow: match.allowed.join(', ') })
    }
    const { route, params } = match
    if (route.open !== true) this.#guard.check(headers)
    const call: Call = {
      param: (name) => params.get(name) ?? '',
      query(name) {
        const values = query.getAll(name)
        if (values.length < 2) return values[0]
        throw new AnyTlsError('ERR_REQUEST_INVALID', `"${name}" stands there twice`)
      },
      body: () => readJson(request),
    }
    return route.handle(call)
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';')
  if (type.trim().toLowerCase() !== 'application/json') throw new AnyTlsError('ERR_REQUEST_TYPE')
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > LIMITS.body) throw new AnyTlsError('ERR_REQUEST_TOO_LARGE')
    chunks.push(chunk)
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
    return JSON.parse(text) as unknown
  } catch {
    throw new AnyTlsError('ERR_REQUEST_INVALID', 'the body is not valid JSON')
  }
}

function headersFor(error: unknown): Answer['headers'] {
  const wantsToken = error instanceof AnyTlsError && error.code === 'ERR_REQUEST_TOKEN'
  return wantsToken ? { 'WWW-Authenticate': 'Bearer realm="anytls"' } : undefined
}

/** What is no HTTP, is too large or too slow: nobody else answers it. */
function refuseConnection(error: Error, socket: Socket): void {
  const [status, code] = CLIENT_ERRORS[systemCode(error)] ?? [
    '400 Bad Request',
    'ERR_REQUEST_INVALID',
  ]
  if (!socket.writable || systemCode(error) === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const { body } = failure(new AnyTlsError(code))
  const head = [
    `HTTP/1.1 ${status}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${String(body)}`)
}

const CLIENT_ERRORS: Readonly<
  Record<string, readonly [status: string, code: 'ERR_REQUEST_TOO_LARGE' | 'ERR_REQUEST_TIMEOUT']>
> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'ERR_REQUEST_TOO_LARGE'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'ERR_REQUEST_TIMEOUT'],
}

function ignore(): void {}
