// What a prober asks of a TLS port, and how it writes the answers down: in a few words, without what changes from one
// time to the next.

import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { createSecureContext, connect as connectTls } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { setTimeout } from 'node:timers/promises'
import { curl } from '../../proxy/support.ts'
import { startRecordTap } from '../../support/record-tap.ts'
import { SLOW } from './neighbours.ts'
import type { Neighbours } from './neighbours.ts'

/** A question, and what of the neighbours is asked it. */
export interface Probe {
  readonly of: keyof Neighbours
  readonly ask: (port: number) => Promise<string>
}

/** How long no byte has come when an answer is taken to be whole, in ms. */
const QUIET = 500

/** How long an answer may take to begin, in ms: on a busy machine what is asked first waits for what is loaded then. */
const PATIENCE = 3_000

/** The same where most likely none comes. */
const LITTLE_PATIENCE = 1_000

const TRUSTING = { host: '127.0.0.1', rejectUnauthorized: false } as const

function dial(port: number, options: ConnectionOptions = {}): TLSSocket {
  return connectTls({ port, ...TRUSTING, ...options }).on('error', () => {})
}

/** All that comes until the end, or until it is quiet; then the connection is given up. */
async function answerOf(
  socket: Socket,
  patience = PATIENCE,
): Promise<{ text: string; end: 'closed' | 'open' }> {
  let text = ''
  let last = performance.now() + patience - QUIET
  socket
    .on('error', () => {})
    .on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      last = performance.now()
    })
  const closed = once(socket, 'close').then(() => true)
  let isClosed = false
  while (!isClosed && performance.now() - last < QUIET) {
    isClosed = await Promise.race([closed, setTimeout(50, false)])
  }
  socket.destroy()
  return { text, end: isClosed ? 'closed' : 'open' }
}

/** An alert that a handshake ends with, or what it comes to. */
function shakeHands(
  options: ConnectionOptions,
  describe: (socket: TLSSocket) => string = () => 'taken',
): Probe {
  return {
    of: 'site',
    async ask(port) {
      const socket = dial(port, options)
      const result = await new Promise<string>((resolve) => {
        socket.once('secureConnect', () => resolve(describe(socket)))
        socket.once('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(code))
      })
      socket.destroy()
      return result
    },
  }
}

/** Bytes in the place of a handshake. */
function raw(hex: string): Probe {
  return {
    of: 'site',
    async ask(port) {
      const socket = connectTcp(port, '127.0.0.1')
      socket.write(Buffer.from(hex, 'hex'))
      const { text, end } = await answerOf(socket)
      return `${kindOf(text)}, ${end}`
    },
  }
}

function kindOf(text: string): string {
  if (text === '') return 'nothing'
  if (text.startsWith('HTTP/')) return `HTTP ${text.slice(9, 12)}`
  return text.startsWith('\x15') ? `alert ${text.charCodeAt(6)}` : `${text.length} bytes`
}

/** A request over HTTP/1.1, or what is none. */
function request(of: Probe['of'], text: string): Probe {
  return {
    of,
    async ask(port) {
      const began = performance.now()
      const socket = dial(port, { ALPNProtocols: ['http/1.1'] })
      await once(socket, 'secureConnect')
      socket.write(text)
      const { text: answer, end } = await answerOf(socket)
      return `${clean(answer)}, ${end}${lateness(of, began)}`
    },
  }
}

function h2(of: Probe['of'], ...args: readonly string[]): Probe {
  return {
    of,
    async ask(port) {
      const began = performance.now()
      const { code, stdout } = await curl(
        '-ks',
        '--http2',
        '-i',
        ...args,
        `https://127.0.0.1:${port}/`,
      )
      return `${code} ${clean(String(stdout))}${lateness(of, began)}`
    },
  }
}

function lateness(of: Probe['of'], began: number): string {
  return of === 'slow' && performance.now() - began < SLOW ? ', too early' : ''
}

/** Without what changes from one second to the next. */
export function clean(answer: string): string {
  return answer.replaceAll(/^date:.*\r\n/gim, '')
}

/** Lengths of the records that a server sends before the client's Finished. */
function firstFlight(servername?: string): Probe {
  return {
    of: 'site',
    async ask(port) {
      const tap = await startRecordTap(port)
      const options = { ALPNProtocols: ['h2', 'http/1.1'], ...(servername && { servername }) }
      const socket = dial(tap.port, options)
      await once(socket, 'secureConnect')
      await setTimeout(100)
      const [connection] = tap.connections
      // The client's Hello, its change of cipher, its Finished.
      const [, , finished] = connection?.fromClient ?? []
      const flight = connection?.fromServer.filter(({ order }) => order < (finished?.order ?? 0))
      socket.destroy()
      await tap.stop()
      return flight?.map(({ length }) => lengthOf(length)).join(' ') ?? ''
    },
  }
}

/** The signatures of a P-256 key, one of them in its certificate, have 68 to 72 bytes. */
function lengthOf(length: number): string {
  if (length > 92 && length < 98) return '93..97'
  return length > 410 && length < 424 ? '411..423' : String(length)
}

const tickets: Probe = {
  of: 'site',
  async ask(port) {
    const lives: number[] = []
    const socket = dial(port, { secureContext: createSecureContext({}) })
    socket.on('session', (session: Buffer) => void lives.push(lifeOf(session)))
    await once(socket, 'secureConnect')
    await setTimeout(QUIET)
    socket.destroy()
    return lives.join(' ')
  },
}

/** The hint of a ticket, out of the session that OpenSSL writes as ASN.1: [9], in seconds. */
function lifeOf(session: Buffer): number {
  for (let at = 0; at + 4 < session.length; at += 1) {
    const [tag, outer = 0, type, inner = 0] = session.subarray(at, at + 4)
    const isHint = tag === 0xa9 && type === 2 && outer === inner + 2 && inner > 0 && inner < 5
    if (isHint) return session.readUIntBE(at + 4, inner)
  }
  return 0
}

const resumption: Probe = {
  of: 'site',
  async ask(port) {
    const first = dial(port)
    const [session] = (await once(first, 'session')) as [Buffer]
    first.destroy()
    const second = dial(port, { session })
    await once(second, 'secureConnect')
    const isResumed = second.isSessionReused()
    second.destroy()
    return isResumed ? 'resumed' : 'anew'
  },
}

/** What comes on a connection that has shaken hands, after these bytes or none. */
function speak(protocol: string, bytes: string, isEnd = false): Probe {
  return {
    of: 'site',
    async ask(port) {
      const socket = dial(port, { ALPNProtocols: [protocol] })
      await once(socket, 'secureConnect')
      socket.write(bytes)
      if (isEnd) socket.end()
      const { text, end } = await answerOf(socket, bytes === '' ? LITTLE_PATIENCE : PATIENCE)
      return `${text.length} bytes, ${end}`
    },
  }
}

/** How long a connection stands on which nobody says a word, in ms; without a protocol before TLS. */
export async function silence(port: number, protocol?: string): Promise<number> {
  const socket =
    protocol === undefined
      ? connectTcp(port, '127.0.0.1')
      : dial(port, { ALPNProtocols: [protocol] })
  await once(socket, protocol === undefined ? 'connect' : 'secureConnect')
  const began = performance.now()
  await once(socket.resume(), 'end')
  socket.destroy()
  return Math.round(performance.now() - began)
}

const SUITES = ['TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384']

/** Each order of the three suites of TLS 1.3. */
const ORDERS = SUITES.flatMap((first) =>
  SUITES.filter((suite) => suite !== first).map((second) => [
    first,
    second,
    ...SUITES.filter((suite) => suite !== first && suite !== second),
  ]),
)

const LINES = [
  '',
  'GET',
  'GET /',
  'GET / HTTP/1.1',
  'GET / HTTP/9.9',
  'GET / HTTP/1.0',
  'G@T / HTTP/1.1',
  'OPTIONS * HTTP/1.1',
]

const HEADERS = [
  '',
  'Host: a\r\n',
  'Host:\r\n',
  'Host: a\r\nHost: b\r\n',
  'Host: a\r\n: x\r\n',
  'Host: a\r\nContent-Length: x\r\n',
]

/** 48 of them, as a line and headers. */
const MALFORMED = LINES.flatMap((line) => HEADERS.map((headers) => `${line}\r\n${headers}\r\n`))

function named<T>(items: readonly T[], name: (item: T) => string, make: (item: T) => Probe) {
  return items.map((item) => [name(item), make(item)] as const)
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n'

/** Every one by its name, under which the threat model lists it if the answers differ. */
export const PROBES: ReadonlyMap<string, Probe> = new Map<string, Probe>([
  ...named(
    ORDERS,
    (order) => `suites ${order.map((suite) => suite.slice(4).replaceAll('_', ' ')).join(', ')}`,
    (order) => shakeHands({ ciphers: order.join(':') }, (socket) => socket.getCipher().name),
  ),
  ...named(
    ['X25519', 'P-256', 'P-384', 'P-521', 'X448'],
    (group) => `group ${group}`,
    (ecdhCurve) => shakeHands({ ecdhCurve }),
  ),
  ['tickets and their life', tickets],
  ['a ticket used again', resumption],
  ['first flight without SNI', firstFlight()],
  ['first flight with SNI', firstFlight('localhost')],
  ['first flight with another SNI', firstFlight('elsewhere.test')],
  ['ALPN that nobody speaks', shakeHands({ ALPNProtocols: ['foo'] })],
  ['no ALPN', shakeHands({}, (socket) => String(socket.alpnProtocol))],
  [
    'ALPN in the other order',
    shakeHands({ ALPNProtocols: ['http/1.1', 'h2'] }, (socket) => String(socket.alpnProtocol)),
  ],
  ['TLS 1.2', shakeHands({ maxVersion: 'TLSv1.2' })],
  ['plain HTTP', raw(Buffer.from(`${GET}\r\n`).toString('hex'))],
  ['an alert first', raw('15030100020228')],
  ['application data first', raw('17030300050102030405')],
  ['zeros first', raw('00'.repeat(64))],
  ['a ClientHello cut off', raw('160301020001')],
  ['h2 before a word', speak('h2', '')],
  ['HTTP/1.1 before a word', speak('http/1.1', '')],
  ['an end before a word', speak('http/1.1', '', true)],
  ['h2 garbage', speak('h2', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['a request and an end', speak('http/1.1', `${GET}\r\n`, true)],
  ...named(
    MALFORMED,
    (text) => `request ${JSON.stringify(text.slice(0, -2))}`,
    (text) => request('site', text),
  ),
  ['two requests at once', request('site', `${GET}\r\n${GET}\r\n`)],
  ['a header of 9,000 bytes', request('site', `${GET}X: ${'x'.repeat(9_000)}\r\n\r\n`)],
  ['a page over h2', h2('site')],
  ['no page over h2', h2('site', '--request-target', '/nothing')],
  ['dead: a page', request('dead', `${GET}\r\n`)],
  ['dead: HEAD', request('dead', 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['dead: a form', request('dead', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b')],
  ['dead: an old client', request('dead', 'GET / HTTP/1.0\r\n\r\n')],
  ['dead: Connection: close', request('dead', `${GET}Connection: close\r\n\r\n`)],
  ['dead: two requests', request('dead', `${GET}\r\n${GET}\r\n`)],
  ['dead: Chrome', request('dead', `${GET}User-Agent: Chrome/1\r\n\r\n`)],
  ['dead: no request', request('dead', 'nonsense\r\n\r\n')],
  ['dead: two Hosts', request('dead', `${GET}Host: b\r\n\r\n`)],
  ['dead: Expect', request('dead', `${GET}Expect: more\r\n\r\n`)],
  ['dead: CONNECT', request('dead', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['dead: TRACE', request('dead', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['dead: an unknown method', request('dead', 'FROB / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['dead: an upgrade', request('dead', `${GET}Connection: Upgrade\r\nUpgrade: x\r\n\r\n`)],
  ['dead: a bad length', request('dead', `${GET}Content-Length: x\r\n\r\n`)],
  ['dead: bare LF', request('dead', 'GET / HTTP/1.1\nHost: a\n\n')],
  ['dead: an unknown version', request('dead', 'GET / HTTP/9.9\r\nHost: a\r\n\r\n')],
  ['dead: a header of 9,000 bytes', request('dead', `${GET}X: ${'x'.repeat(9_000)}\r\n\r\n`)],
  [
    'dead: headers of 40,000 bytes',
    request('dead', `${GET}${`X: ${'x'.repeat(5_000)}\r\n`.repeat(8)}\r\n`),
  ],
  ['dead: no Host', request('dead', 'GET / HTTP/1.1\r\n\r\n')],
  ['dead: a page over h2', h2('dead')],
  ['dead: HEAD over h2', h2('dead', '-I')],
  ['dead: a form over h2', h2('dead', '-d', 'a=b')],
  ['dead: Chrome over h2', h2('dead', '-A', 'Chrome/1')],
  ['slow: a page', request('slow', `${GET}\r\n`)],
  ['slow: a page over h2', h2('slow')],
])
