// Plain-http forwarding: one request of a program goes to its origin over a tunnel, and the answer comes back.
// Must never send an answer that the origin cut short as if it were whole.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { AnyTlsError } from '../../errors.ts'
import type { TunnelStream } from '../tunnel.ts'
import type { AnswerHead } from './http-answer.ts'
import { bodyOf, HeadReader, staysOpen } from './http-answer.ts'
import { BodyReader, chunkEncoder } from './http-body.ts'
import { endToEndHeaders, headerValues } from './http-headers.ts'
import type { Origin } from './http-target.ts'

/** A request, its answer, and the stream that it goes over. */
export interface Exchange {
  readonly request: IncomingMessage
  /** Where the body comes from: the request itself, unless its connection was let go of for an upgrade. */
  readonly body: Readable
  readonly response: ServerResponse
  readonly origin: Origin
  readonly stream: TunnelStream
  /** Whether the program asks for another protocol on its connection (RFC 9110 section 7.8). */
  readonly upgrade: boolean
  /** Whether the origin is to leave its connection open for the program's next request. */
  readonly keep: boolean
  /** Ends it all: the program has gone. */
  readonly gone: AbortSignal
}

/** How an exchange ended. */
export type Ending =
  /** The answer is on its way as a whole; `reusable` when the stream can carry the next request. */
  | { readonly type: 'answered'; readonly reusable: boolean }
  /** The origin speaks another protocol now: `head` goes to the program, and what is in the stream behind it. */
  | { readonly type: 'upgraded'; readonly head: string }
  /** Nothing, or not everything, came from the origin. */
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'left' }

/** Interim answers that are passed on for one request. */
const MAX_INTERIM = 64

const ANSWERS_NOTHING = 'the target has not answered'
const CUT_SHORT = 'the answer of the target was cut short'

/**
 * Sends the request and passes the answer on, bodies streamed with back-pressure. Nothing is answered in our own name,
 * and the stream is left to the caller.
 */
export function forward(exchange: Exchange): Promise<Ending> {
  return new Promise((resolve) => new Forwarding(exchange, resolve).start())
}

class Forwarding {
  readonly #exchange: Exchange
  readonly #resolve: (ending: Ending) => void
  readonly #heads = new HeadReader()
  /** The body of the request as it goes to the origin. */
  #sent: Readable | undefined
  #answer: { readonly body: BodyReader; readonly staysOpen: boolean } | undefined
  #interim = 0

  constructor(exchange: Exchange, resolve: (ending: Ending) => void) {
    this.#exchange = exchange
    this.#resolve = resolve
  }

  start(): void {
    const { stream, response, gone, body } = this.#exchange
    stream.on('data', this.#onData)
    stream.on('end', this.#onEnd)
    stream.on('close', this.#onEnd)
    // One that was kept has been paused.
    stream.resume()
    response.on('drain', this.#onDrain)
    response.on('close', this.#onLeft)
    gone.addEventListener('abort', this.#onLeft)
    if (gone.aborted) {
      this.#onLeft()
      return
    }
    const head = requestHead(this.#exchange)
    stream.write(head.text, 'latin1')
    if (head.framing === 'none') return
    this.#sent = head.framing === 'length' ? body : body.pipe(chunkEncoder())
    this.#sent.pipe(stream, { end: false })
  }

  readonly #onData = (bytes: Buffer): void => {
    try {
      this.#receive(bytes)
    } catch (error) {
      if (!(error instanceof AnyTlsError)) throw error
      this.#settle({ type: 'failed', reason: error.message })
    }
  }

  #receive(bytes: Buffer): void {
    let left = bytes
    while (this.#answer === undefined) {
      const read = this.#heads.receive(left)
      if (read === undefined) return
      left = read.rest
      if (read.head.status === 101 && this.#exchange.upgrade) {
        this.#upgrade({ type: 'upgraded', head: interimText(read.head, 'upgrade') }, left)
        return
      }
      this.#onHead(read.head)
    }
    const { body } = this.#answer
    const { response, stream } = this.#exchange
    const taken = body.receive(left, (data) => {
      if (!response.write(data)) stream.pause()
    })
    if (body.isOver) this.#complete(taken === left.length)
  }

  /** Another protocol begins behind the body of the request (RFC 9110 section 7.8). */
  #upgrade(ending: Ending, rest: Buffer): void {
    const { stream, response } = this.#exchange
    const settle = () => {
      stream.off('close', settle)
      this.#settle(ending)
    }
    response.off('drain', this.#onDrain)
    // An end of the origin is one of that protocol.
    stream.off('end', this.#onEnd).off('close', this.#onEnd)
    stream.pause()
    if (rest.length > 0) stream.unshift(rest)
    if (this.#sent?.readableEnded !== false || stream.destroyed) {
      settle()
      return
    }
    this.#sent.once('end', settle)
    stream.once('close', settle)
  }

  #onHead(head: AnswerHead): void {
    const { request, response } = this.#exchange
    const { status, reason } = head
    if (status === 101)
      throw new AnyTlsError('ERR_HTTP_INVALID', 'an upgrade that nobody asked for')
    if (status < 200) {
      this.#passOn(head)
      return
    }
    const body = bodyOf(head, request.method ?? '')
    const codings = headerValues(body.headers, 'transfer-encoding')
    if (request.httpVersion === '1.0' && codings.length > 0) {
      const problem = 'a transfer coding that a program of HTTP/1.0 does not know'
      throw new AnyTlsError('ERR_HTTP_INVALID', problem)
    }
    this.#answer = { body: new BodyReader(body.framing), staysOpen: staysOpen(head, body) }
    response.sendDate = false
    response.writeHead(status, reason, [...body.headers])
    // It may come alone, and a program may wait for it: of events, or to go on with its own body. `flushHeaders` would write
    // it in UTF-8, and bytes behind it would put it in front of a 100 that waits for its turn.
    response.write('', 'latin1')
  }

  /** RFC 9110 section 15.2: interim answers are passed on, but for programs that know none. */
  #passOn(head: AnswerHead): void {
    const { request, response } = this.#exchange
    this.#interim += 1
    if (request.httpVersionMinor < 1 || this.#interim > MAX_INTERIM) return
    if (head.status === 100) {
      if (expectsContinue(request)) response.writeContinue()
      return
    }
    const text = interimText(head)
    // Behind requests that are answered first, it waits as they do.
    if (response.socket !== null) response.socket.write(text, 'latin1')
    else
      response.once('socket', (socket: Readable & { write: (...args: string[]) => void }) =>
        socket.write(text, 'latin1'),
      )
  }

  #complete(isExact: boolean): void {
    const { request, response } = this.#exchange
    const { staysOpen } = this.#answer ?? { staysOpen: false }
    response.end()
    // More than was announced, or a body that nobody waited for: what follows could not be told apart.
    const reusable = staysOpen && isExact && request.complete
    this.#settle({ type: 'answered', reusable })
  }

  readonly #onEnd = (): void => {
    if (this.#answer === undefined) {
      this.#settle({ type: 'failed', reason: ANSWERS_NOTHING })
    } else if (this.#answer.body.endsHere && this.#exchange.stream.readableEnded) {
      this.#complete(true)
    } else {
      this.#settle({ type: 'failed', reason: CUT_SHORT })
    }
  }

  readonly #onDrain = (): void => {
    this.#exchange.stream.resume()
  }

  readonly #onLeft = (): void => this.#settle({ type: 'left' })

  #settle(ending: Ending): void {
    const { stream, response, gone, body } = this.#exchange
    stream.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onEnd)
    stream.pause()
    response.off('drain', this.#onDrain).off('close', this.#onLeft)
    gone.removeEventListener('abort', this.#onLeft)
    body.unpipe()
    this.#resolve(ending)
  }
}

/** How the program framed its body, and so how it is sent on. */
type RequestFraming = 'none' | 'length' | 'chunked'

function requestHead({ request, origin, upgrade, keep }: Exchange): {
  readonly text: string
  readonly framing: RequestFraming
} {
  const { headers, rawHeaders, method = '' } = request
  const framing =
    'transfer-encoding' in headers ? 'chunked' : 'content-length' in headers ? 'length' : 'none'
  const connection = upgrade ? 'Upgrade' : keep ? 'keep-alive' : 'close'
  const forwards = forwardsLeft(request)
  const counted = forwards === undefined ? [] : ['max-forwards']
  const lines = ['Host', origin.host, ...endToEndHeaders(rawHeaders, 'host', ...counted)]
  if (forwards !== undefined) lines.push('Max-Forwards', String(forwards - 1))
  // RFC 9110 section 8.6: so that nobody waits for a body.
  if (framing === 'none' && METHODS_WITH_BODY.includes(method)) lines.push('Content-Length', '0')
  if (upgrade) lines.push('Upgrade', headers.upgrade ?? '')
  lines.push('Connection', connection)
  return { text: `${method} ${origin.path} HTTP/1.1\r\n${headerText(lines)}`, framing }
}

/** How often a request may still be forwarded, where it says so (RFC 9110 section 7.6.2). */
export function forwardsLeft({ method = '', headers }: IncomingMessage): number | undefined {
  const value = String(headers['max-forwards'])
  return /^(?:OPTIONS|TRACE)$/.test(method) && /^\d{1,9}$/.test(value) ? Number(value) : undefined
}

const METHODS_WITH_BODY: readonly string[] = ['POST', 'PUT', 'PATCH']

function interimText(head: AnswerHead, kind?: 'upgrade'): string {
  const { status, reason, headers } = head
  const passed = endToEndHeaders(headers, 'transfer-encoding', 'content-length')
  const upgrade = headerValues(headers, 'upgrade').join(', ')
  const added = kind === undefined ? [] : ['Upgrade', upgrade, 'Connection', 'Upgrade']
  return `HTTP/1.1 ${status} ${reason}\r\n${headerText([...passed, ...added])}`
}

function headerText(headers: readonly string[]): string {
  const lines = headers.map((text, index) => (index % 2 === 0 ? `${text}: ` : `${text}\r\n`))
  return `${lines.join('')}\r\n`
}

function expectsContinue({ headers }: IncomingMessage): boolean {
  return headers.expect?.toLowerCase() === '100-continue'
}
