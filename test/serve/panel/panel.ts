// A panel of our own, strict about what nodes say to it, that can be made to fail in many ways.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { isIP } from 'node:net'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import type { TestCertificate } from '../../support/certificate.ts'

export const TOKEN = 'a-token-that-nobody-may-see'

interface PanelUser {
  readonly id: number | string
  readonly uuid: string
  readonly speed_limit?: number | string | null
  readonly device_limit?: number | string | null
}

/** How requests whose path ends in the word are answered. */
export type Fault =
  | 'away'
  | 'silent'
  | 'nonsense'
  | 'half'
  | 'status 500'
  | 'status 403'
  | 'status 404'
  /** Taken, but the answer is lost. */
  | 'lost'

interface Asked {
  readonly path: string
  readonly status: number
}

export class Panel {
  readonly asked: Asked[] = []
  readonly violations: string[] = []
  readonly faults = new Map<string, Fault>()
  users: readonly PanelUser[] = []
  config: Record<string, unknown> = {
    protocol: 'anytls',
    listen_ip: '127.0.0.1',
    server_port: 1,
    server_name: null,
    padding_scheme: null,
    base_config: { push_interval: '1', pull_interval: 1 },
  }
  /** What was pushed, by id. */
  readonly used = new Map<string, { up: number; down: number }>()
  /** Who is online at this node, and what other nodes add. */
  alive: Readonly<Record<string, readonly string[]>> = {}
  elsewhere: Readonly<Record<string, number>> = {}
  load: unknown
  readonly #server: Server
  /** Also who was thrown out: what was used until then is told after. */
  readonly #known = new Set<string>()
  #port = 0
  readonly #scheme: 'http' | 'https'

  /** @param certificate with which it speaks TLS */
  constructor(certificate?: TestCertificate) {
    const serve = (request: IncomingMessage, response: ServerResponse): void =>
      void this.#answer(request, response)
    this.#scheme = certificate === undefined ? 'http' : 'https'
    this.#server =
      certificate === undefined ? createServer(serve) : createTlsServer(certificate, serve)
  }

  get place(): string {
    return `uniproxy+${this.#scheme}://127.0.0.1:${this.port}?node_id=7`
  }

  /** The same after a stop. */
  get port(): number {
    return this.#port
  }

  async start(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://panel')
    const path = /^\/api\/v1\/server\/UniProxy\/(\w+)$/.exec(url.pathname)?.[1] ?? ''
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString()
    const query = Object.fromEntries(url.searchParams)
    const wanted = { token: TOKEN, node_id: '7', node_type: 'anytls' }
    if (
      JSON.stringify(query, Object.keys(wanted).sort()) !==
      JSON.stringify(wanted, Object.keys(wanted).sort())
    )
      this.violations.push(`query ${url.search}`)
    const fault = this.faults.get(path) ?? this.faults.get('*')
    const answer = (status: number, text: string, headers = {}): void => {
      this.asked.push({ path, status })
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text)
    }
    switch (fault) {
      case 'away':
        request.socket.resetAndDestroy()
        return
      case 'silent':
        return
      case 'nonsense':
        answer(200, '<html>Be right back</html>')
        return
      case 'half':
        response.writeHead(200, { 'content-length': 1_000 }).write('{"users":[')
        setTimeout(() => request.socket.destroy(), 20)
        return
      case 'status 500':
      case 'status 403':
      case 'status 404':
        answer(Number(fault.slice(7)), '{"message":"no"}')
        return
      case 'lost':
      case undefined:
    }
    const told = this.#serve(request.method ?? '', path, body)
    if (fault === 'lost') {
      request.socket.resetAndDestroy()
      return
    }
    if (request.method === 'POST') {
      answer(told === undefined ? 400 : 200, '{"data":true}')
      return
    }
    const text = JSON.stringify(told)
    const etag = `"${Buffer.from(text).toString('base64url').slice(-40)}${text.length}"`
    if (request.headers['if-none-match'] === etag) answer(304, '')
    else answer(told === undefined ? 404 : 200, text, { etag })
  }

  /** What is answered; `undefined` for what no panel knows. */
  #serve(method: string, path: string, body: string): unknown {
    switch (`${method} ${path}`) {
      case 'GET config':
        return this.config
      case 'GET user':
        for (const { id } of this.users) this.#known.add(String(id))
        return { users: this.users }
      case 'GET alivelist':
        return { alive: this.#devices() }
      case 'POST push':
        return this.#take(body, (id, value) => {
          if (!isPair(value)) return false
          const used = this.used.get(id) ?? { up: 0, down: 0 }
          this.used.set(id, { up: used.up + value[0], down: used.down + value[1] })
          return true
        })
      case 'POST alive': {
        const alive: Record<string, readonly string[]> = {}
        const taken = this.#take(body, (id, value) => {
          if (!Array.isArray(value) || value.some((one) => isIP(String(one)) === 0)) return false
          alive[id] = value as string[]
          return true
        })
        this.alive = alive
        return taken
      }
      case 'POST status':
        this.load = JSON.parse(body)
        return true
      default:
        this.violations.push(`${method} ${path}`)
        return undefined
    }
  }

  #take(body: string, take: (id: string, value: unknown) => boolean): true | undefined {
    const json = JSON.parse(body) as unknown
    const isMap = typeof json === 'object' && json !== null && !Array.isArray(json)
    for (const { id } of this.users) this.#known.add(String(id))
    const good =
      isMap && Object.entries(json).every(([id, value]) => this.#known.has(id) && take(id, value))
    if (good) return true
    this.violations.push(body)
    return undefined
  }

  #devices(): Record<string, number> {
    const sums: Record<string, number> = { ...this.elsewhere }
    for (const [id, { length }] of Object.entries(this.alive)) sums[id] = (sums[id] ?? 0) + length
    return sums
  }
}

function isPair(value: unknown): value is [number, number] {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((one) => Number.isSafeInteger(one) && (one as number) >= 0)
  )
}

/** A panel that runs until the test is over. */
export async function startPanel(...users: readonly PanelUser[]): Promise<Panel> {
  const panel = new Panel()
  panel.users = users
  await panel.start()
  onTestFinished(() => panel.stop())
  return panel
}
