// HTTP on the local port: CONNECT, and requests in absolute form, on node:http's own parser.
// Must never open a tunnel for a program that has not given the credentials.
import { setMaxListeners } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Address } from '../../codec/address.ts'
import { parseHostPort } from '../../codec/host-port.ts'
import { closeGently } from '../close-gently.ts'
import { reportFailure } from '../failure.ts'
import { answer, forward, parseOrigin } from './http-forward.ts'
import type { InboundContext } from './inbound-tunnel.ts'
import { openForProgram, sourceOf, watchDeparture } from './inbound-tunnel.ts'
import { relay } from '../relay.ts'

// Requests that one connection may have under way at once. Programs that pipeline send some ten.
const MAX_PIPELINED = 32

const CHALLENGE = { 'Proxy-Authenticate': 'Basic realm="anytls"' }

/** Makes `server` answer requests as a proxy does. */
export function serveHttp(server: Server, context: InboundContext): void {
  const connections = new WeakMap<Socket, Connection>()
  const connectionOf = (socket: Socket) => {
    const connection = connections.get(socket) ?? newConnection(socket)
    connections.set(socket, connection)
    return connection
  }
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const connection = connectionOf(request.socket)
    connection.underWay += 1
    response.on('close', () => (connection.underWay -= 1))
    if (request.socket.destroyed) return
    if (connection.underWay > MAX_PIPELINED) {
      reportInvalid(request.socket, context, 'HTTP: too many requests under way')
      request.socket.destroy()
      return
    }
    void serveRequest(request, response, connection.gone, context)
  }
  server.on('request', onRequest)
  // Whether a body is wanted is for the origin to say.
  server.on('checkContinue', onRequest)
  server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    void serveConnect(request, socket, head, context)
  })
}

/** What requests on one connection share. */
interface Connection {
  underWay: number
  readonly gone: AbortSignal
}

function newConnection(socket: Socket): Connection {
  const gone = new AbortController()
  // Every request under way listens; their number is bounded.
  setMaxListeners(0, gone.signal)
  socket.once('close', () => gone.abort())
  return { underWay: 0, gone: gone.signal }
}

async function serveRequest(
  request: IncomingMessage,
  response: ServerResponse,
  gone: AbortSignal,
  context: InboundContext,
): Promise<void> {
  const refuse = (status: number, text: string, headers?: Readonly<Record<string, string>>) => {
    reportInvalid(request.socket, context, `HTTP: ${text}`)
    answer(response, status, text, headers)
  }
  if (!authorized(request, context)) {
    refuse(407, 'username and password required', CHALLENGE)
    return
  }
  const origin = parseOrigin(request.url ?? '')
  if (origin === undefined) {
    refuse(400, 'this is a proxy: ask it for http://host/path, or with CONNECT for host:port')
    return
  }
  const { target } = origin
  let stream
  try {
    const asked = { source: sourceOf(request.socket), target, protocol: 'http' } as const
    stream = await openForProgram(context, asked, gone)
    forward(request, response, origin, stream, gone)
  } catch (error) {
    stream?.destroy()
    const { httpStatus, reason } = reportFailure(error)
    answer(response, httpStatus, reason)
  }
}

async function serveConnect(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  context: InboundContext,
): Promise<void> {
  if (head.length > 0) socket.unshift(head)
  if (!authorized(request, context)) {
    refuseConnect(socket, context, 407, 'username and password required', CHALLENGE)
    return
  }
  const target = parseTarget(request.url ?? '')
  if (target === undefined) {
    refuseConnect(socket, context, 400, 'CONNECT wants host:port')
    return
  }
  const departure = watchDeparture(socket)
  const asked = { source: sourceOf(socket), target, protocol: 'http-connect' } as const
  let stream
  try {
    stream = await openForProgram(context, asked, departure.signal)
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

function refuseConnect(
  socket: Socket,
  context: InboundContext,
  status: number,
  text: string,
  headers?: Readonly<Record<string, string>>,
): void {
  reportInvalid(socket, context, `HTTP: ${text}`)
  closeGently(socket, rawAnswer(status, text, headers))
}

/** After CONNECT the library has let go of the connection, so the answer is written by hand. */
function rawAnswer(status: number, text: string, headers: Readonly<Record<string, string>> = {}) {
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    'Content-Type: text/plain',
    `Content-Length: ${text.length + 1}`,
    'Connection: close',
  ]
  return `${lines.join('\r\n')}\r\n\r\n${text}\n`
}

function parseTarget(authority: string): Address | undefined {
  try {
    return parseHostPort(authority)
  } catch {
    return undefined
  }
}

/** Basic, RFC 7617. */
function authorized({ headers }: IncomingMessage, { checkCredentials }: InboundContext): boolean {
  if (checkCredentials === undefined) return true
  const match = /^Basic +([A-Za-z0-9+/]+=*)$/i.exec(headers['proxy-authorization'] ?? '')
  const given = Buffer.from(match?.[1] ?? '', 'base64')
  const colon = given.indexOf(':')
  if (colon === -1) return false
  return checkCredentials(given.subarray(0, colon), given.subarray(colon + 1))
}

function reportInvalid(socket: Socket, context: InboundContext, reason: string): void {
  context.emit('invalid', { source: sourceOf(socket), reason })
}
