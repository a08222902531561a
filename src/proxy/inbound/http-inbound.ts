// HTTP on the local port: CONNECT, and requests in absolute form, on node:http's own parser, which is strict.
// Must never open a tunnel for a program that has not given the credentials.
import { setMaxListeners } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { formatHostPort } from '../../codec/host-port.ts'
import { closeGently } from '../close-gently.ts'
import { FAILURES, reportFailure } from '../failure.ts'
import { endOnceSent, limitSilence, resetSocket } from '../lean-relay.ts'
import { DEFAULT_HALF_OPEN_TIMEOUT, relay } from '../relay.ts'
import type { TunnelStream } from '../tunnel.ts'
import { MAX_HEAD } from './http-answer.ts'
import { BodyReader } from './http-body.ts'
import { forward, forwardsLeft } from './http-forward.ts'
import type { Ending, Exchange } from './http-forward.ts'
import { authenticatesConnection, KeptOrigin } from './http-kept.ts'
import { mendRequestLine, parseConnectTarget, parseOrigin } from './http-target.ts'
import type { Origin } from './http-target.ts'
import type { InboundContext, InboundProtocol } from './inbound-tunnel.ts'
import { leaveWithProgram } from './leaving.ts'
import { openForProgram, refusalOf, sourceOf, watchDeparture } from './inbound-tunnel.ts'

// Requests that one connection may have under way at once. Programs that pipeline send some ten.
const MAX_PIPELINED = 32

/** The first byte of a program that takes this for a proxy behind TLS. */
const TLS_HANDSHAKE = 22

const CHALLENGE = { 'Proxy-Authenticate': 'Basic realm="anytls"' }
type ClientError = NodeJS.ErrnoException & { readonly rawPacket?: Buffer }
type Headers = Readonly<Record<string, string>>

/** What requests on one connection share. */
interface Connection {
  underWay: number
  served: number
  /** The request line had to be mended, which can be done for the first of a connection alone. */
  mended: boolean
  readonly gone: AbortSignal
  readonly kept: KeptOrigin
  /** Requests that may not have been sent whole. */
  readonly sending: Set<Sending>
}

interface Sending {
  readonly request: IncomingMessage
  stream: TunnelStream | undefined
}

/** HTTP on the connections of one local port. */
export class HttpInbound {
  readonly #context: InboundContext
  readonly #connections = new WeakMap<Socket, Connection>()

  /** Makes `server` answer requests as a proxy does. */
  constructor(server: Server, context: InboundContext) {
    this.#context = context
    const onRequest = (request: IncomingMessage, response: ServerResponse) => {
      this.#onRequest(request, response)
    }
    server.on('request', onRequest)
    // What is expected, and whether a body is wanted, is for the origin to say.
    server.on('checkContinue', onRequest)
    server.on('checkExpectation', onRequest)
    server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      if (this.#letGo(request, socket, head)) void this.#serveConnect(request, socket)
    })
    // From Node 26 on not the socket where the body is still to come, but what shows what comes behind it.
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      if (this.#letGo(request, socket, head)) void this.#serveUpgrade(request, socket)
    })
    server.on('clientError', (error: ClientError, socket: Socket) => {
      this.#onClientError(error, socket)
    })
  }

  /** What a connection says first, as the parser can read it. */
  prepare(socket: Socket, bytes: Buffer): Buffer {
    const mended = mendRequestLine(bytes)
    if (mended !== undefined) this.#connectionOf(socket).mended = true
    return mended ?? bytes
  }

  #connectionOf(socket: Socket): Connection {
    const connection = this.#connections.get(socket) ?? newConnection(socket)
    this.#connections.set(socket, connection)
    return connection
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    const connection = this.#connectionOf(socket)
    connection.underWay += 1
    response.on('close', () => {
      connection.underWay -= 1
      connection.served += 1
    })
    if (connection.mended) response.shouldKeepAlive = false
    if (socket.destroyed) return
    if (connection.underWay > MAX_PIPELINED) {
      this.#reportInvalid(socket, 'too many requests under way')
      socket.destroy()
      return
    }
    void this.#serveRequest(request, response, connection)
  }

  async #serveRequest(
    request: IncomingMessage,
    response: ServerResponse,
    connection: Connection,
  ): Promise<void> {
    const origin = this.#check(request, response)
    if (origin === undefined) return
    const { kept, gone } = connection
    const key = formatHostPort(origin.target)
    const reused = kept.take(key)
    const keep = reused !== undefined || authenticatesConnection(request)
    const sending: Sending = { request, stream: reused }
    connection.sending.add(sending)
    response.once('close', () => connection.sending.delete(sending))
    // Of one that stands the signal would take what has been sent.
    const opening = new AbortController()
    const giveUp = () => opening.abort()
    gone.addEventListener('abort', giveUp)
    if (gone.aborted) giveUp()
    const stream = reused ?? (await this.#open(request, response, origin, 'http', opening.signal))
    gone.removeEventListener('abort', giveUp)
    if (stream === undefined) return
    sending.stream = stream
    const exchange = {
      request,
      body: request,
      response,
      origin,
      stream,
      upgrade: false,
      keep,
      gone,
    }
    const ending = await forward(exchange)
    if (keep && ending.type === 'answered' && ending.reusable && !gone.aborted) {
      kept.keep(key, stream)
    } else if (ending.type === 'left' && isSent(sending)) {
      // A reset would take what the origin has not read yet.
      stream.end(() => stream.destroy())
    } else {
      stream.destroy()
    }
    // What is left of a body that nobody waits for any more must not hold up the next request.
    request.resume()
    await this.#finish(exchange, ending)
  }

  /** The socket is ours alone from here on. */
  async #serveUpgrade(request: IncomingMessage, socket: Socket): Promise<void> {
    const response = responseOn(socket, request)
    const origin = this.#check(request, response)
    if (origin === undefined) return
    const departure = watchDeparture(socket)
    const gone = departure.signal
    const stream = await this.#open(request, response, origin, 'http', gone)
    if (stream === undefined) {
      departure.release()
      return
    }
    const body = PARSER_READS_BODIES ? request : Readable.from(bodyFrom(socket, request))
    body.on('error', () => socket.destroy())
    const exchange = { request, body, response, origin, stream, upgrade: true, keep: false, gone }
    const ending = await forward(exchange)
    departure.release()
    if (ending.type !== 'upgraded') {
      stream.destroy()
      await this.#finish(exchange, ending)
      return
    }
    response.detachSocket(socket)
    socket.write(ending.head, 'latin1')
    await relay(socket, stream)
  }

  async #serveConnect(request: IncomingMessage, socket: Socket): Promise<void> {
    if (!this.#isAuthorized(request)) {
      this.#refuseConnect(socket, 407, 'username and password required', CHALLENGE)
      return
    }
    const target = parseConnectTarget(request.url ?? '')
    if (target === undefined) {
      this.#refuseConnect(socket, 400, 'CONNECT wants host:port')
      return
    }
    const departure = watchDeparture(socket)
    const asked = { source: sourceOf(socket), target, protocol: 'http-connect' } as const
    let stream
    try {
      stream = await openForProgram(this.#context, asked, departure.signal)
    } catch (error) {
      departure.release()
      const { httpStatus, reason } = reportFailure(error)
      if (!socket.destroyed) closeGently(socket, rawAnswer(httpStatus, reason))
      return
    }
    departure.release()
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    await relay(socket, stream)
  }

  /** Where a request goes; `undefined` when it has been refused. */
  #check(request: IncomingMessage, response: ServerResponse): Origin | undefined {
    const refuse = (status: number, text: string, headers?: Headers) => {
      this.#reportInvalid(request.socket, text)
      answer(response, status, text, headers)
    }
    if (!this.#isAuthorized(request)) {
      refuse(407, 'username and password required', CHALLENGE)
      return undefined
    }
    if (request.headers.host === undefined && request.httpVersion !== '1.0') {
      refuse(400, 'a request of HTTP/1.1 has a Host header')
      return undefined
    }
    // RFC 9112 section 3.2: which of them is meant nobody can know.
    if ((request.headersDistinct.host?.length ?? 0) > 1) {
      refuse(400, 'a request has one Host header')
      return undefined
    }
    if (forwardsLeft(request) === 0) {
      answer(response, 200, 'this proxy is as far as the request may go')
      return undefined
    }
    const origin = parseOrigin(request.url ?? '', request.method)
    if (origin === undefined) {
      refuse(400, 'this is a proxy: ask it for http://host/path, or with CONNECT for host:port')
    }
    return origin
  }

  /** The stream to an origin; `undefined` when there is none and the program has been told so. */
  async #open(
    request: IncomingMessage,
    response: ServerResponse,
    { target }: Origin,
    protocol: InboundProtocol,
    gone: AbortSignal,
  ) {
    try {
      const asked = { source: sourceOf(request.socket), target, protocol }
      return await openForProgram(this.#context, asked, gone)
    } catch (error) {
      const { httpStatus, reason } = reportFailure(error)
      answer(response, httpStatus, reason)
      return undefined
    }
  }

  async #finish({ request, response, origin, stream }: Exchange, ending: Ending): Promise<void> {
    if (ending.type !== 'failed') return
    const refusal = await refusalOf(stream)
    if (refusal === undefined) {
      const source = sourceOf(request.socket)
      const { reason } = ending
      this.#context.emit('failed', { source, target: origin.target, protocol: 'http', reason })
    }
    const { httpStatus, reason } =
      refusal === undefined
        ? { httpStatus: FAILURES.general.httpStatus, reason: ending.reason }
        : reportFailure(refusal)
    if (!response.headersSent) {
      answer(response, httpStatus, reason)
      return
    }
    // To HTTP/1.0 the end of the connection may be that of the answer.
    const end = request.httpVersion === '1.0' ? resetSocket : (socket: Socket) => socket.destroy()
    // What came of it goes first, and those before it.
    const endAnswer = () => endOnceSent(request.socket, end)
    if (response.socket !== null) endAnswer()
    // Told before the socket is given what has waited for it.
    else response.once('socket', () => process.nextTick(endAnswer))
  }

  /** Whether the parser has let go of the connection with nothing else under way on it. */
  #letGo(request: IncomingMessage, socket: Socket, head: Buffer): boolean {
    if (head.length > 0) socket.unshift(head)
    if (this.#connectionOf(request.socket).underWay === 0) return true
    this.#reportInvalid(
      request.socket,
      'CONNECT or an upgrade before earlier requests were answered',
    )
    socket.destroy()
    return false
  }

  /** What the parser refuses, or what came too slowly. */
  #onClientError(error: ClientError, socket: Socket): void {
    const { code = '', rawPacket } = error
    const [status, text] =
      rawPacket?.[0] === TLS_HANDSHAKE
        ? [400, 'this port speaks no TLS: programs ask it as http://, not https://']
        : (CLIENT_ERRORS[code] ?? [400, `not a request that can be read (${code})`])
    const { underWay, served } = this.#connectionOf(socket)
    if (!/^(?:HPE|ERR_HTTP)_/.test(code) || !socket.writable) {
      socket.destroy()
      return
    }
    this.#reportInvalid(socket, text)
    // Raw bytes in a request line, mended in the first alone: a program asks again on a connection of its own where a
    // kept one closes before its answer (RFC 9112 section 9.3.1).
    const askAgain =
      code === 'HPE_INVALID_URL' && served > 0 && rawPacket?.some((byte) => byte > 127)
    if (underWay > 0 || askAgain === true) socket.destroy()
    else closeGently(socket, rawAnswer(status, text))
  }

  #refuseConnect(socket: Socket, status: number, text: string, headers?: Headers): void {
    this.#reportInvalid(socket, text)
    closeGently(socket, rawAnswer(status, text, headers))
  }

  #reportInvalid(socket: Socket, reason: string): void {
    this.#context.emit('invalid', { source: sourceOf(socket), reason: `HTTP: ${reason}` })
  }

  /** Basic, RFC 7617. */
  #isAuthorized({ headers }: IncomingMessage): boolean {
    const { checkCredentials } = this.#context
    if (checkCredentials === undefined) return true
    const match = /^Basic +([A-Za-z0-9+/]+=*)$/i.exec(headers['proxy-authorization'] ?? '')
    const given = Buffer.from(match?.[1] ?? '', 'base64')
    const colon = given.indexOf(':')
    if (colon === -1) return false
    return checkCredentials(given.subarray(0, colon), given.subarray(colon + 1))
  }
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [status: number, text: string]>> = {
  HPE_HEADER_OVERFLOW: [431, `a request whose head has over ${MAX_HEAD} bytes`],
  HPE_INVALID_EOF_STATE: [400, 'a request that ended in the middle'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'no request within the time limit'],
}

function newConnection(socket: Socket): Connection {
  const gone = new AbortController()
  const kept = new KeptOrigin()
  // Every request under way listens; their number is bounded.
  setMaxListeners(0, gone.signal)
  socket.once('close', () => {
    gone.abort()
    kept.close()
  })
  socket.once('end', () => limitSilence(socket, DEFAULT_HALF_OPEN_TIMEOUT))
  const sending = new Set<Sending>()
  // What a program has sent arrives, whether it waits for the answer or not.
  leaveWithProgram(socket, () => [...sending].every(isSent))
  return { underWay: 0, served: 0, mended: false, gone: gone.signal, kept, sending }
}

function isSent({ request, stream }: Sending): boolean {
  return request.complete && request.readableLength === 0 && stream?.writableLength === 0
}

/** An answer on a connection that the server has let go of; it is the last one there. */
function responseOn(socket: Socket, request: IncomingMessage): ServerResponse {
  const response = new (process.getBuiltinModule('node:http').ServerResponse)(request)
  response.assignSocket(socket)
  response.shouldKeepAlive = false
  const onDrain = () => void response.emit('drain')
  socket.on('drain', onDrain)
  response.once('finish', () => {
    socket.off('drain', onDrain)
    response.detachSocket(socket)
    closeGently(socket)
  })
  return response
}

/** Whether the parser reads the body of an upgrade before it lets go of the connection: from Node 26 on. */
const PARSER_READS_BODIES = Number.parseInt(process.versions.node) >= 26

/** The body of a request whose connection the parser has let go of, and not a byte more. */
async function* bodyFrom(socket: Socket, { headers }: IncomingMessage): AsyncGenerator<Buffer> {
  const length = Number(headers['content-length'] ?? 0)
  const framing = 'transfer-encoding' in headers ? 'chunked' : length
  if (framing === 0) return
  const reader = new BodyReader(framing)
  for await (const bytes of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    const data: Buffer[] = []
    const taken = reader.receive(bytes, (piece) => data.push(piece))
    yield* data
    if (!reader.isOver) continue
    if (taken < bytes.length) socket.unshift(bytes.subarray(taken))
    return
  }
}

/** Answers in our own name, unless an answer is on its way already. */
function answer(response: ServerResponse, status: number, text: string, headers: Headers = {}) {
  if (response.headersSent || response.destroyed) return
  const body = `${text}\n`
  response.writeHead(status, {
    'Content-Type': 'text/plain',
    'Content-Length': body.length,
    ...headers,
  })
  response.end(body)
}

/** After CONNECT the library has let go of the connection, so the answer is written by hand. */
function rawAnswer(status: number, text: string, headers: Headers = {}): string {
  const { STATUS_CODES } = process.getBuiltinModule('node:http')
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    'Content-Type: text/plain',
    `Content-Length: ${text.length + 1}`,
    'Connection: close',
  ]
  return `${lines.join('\r\n')}\r\n\r\n${text}\n`
}
