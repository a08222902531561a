// What the end-to-end tests share: the two programs wired together, origins to ask, curl that can be watched.

import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { once } from 'node:events'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { afterAll } from 'vitest'
import { runProgram, stop } from '../cli/run-program.ts'
import type { Program } from '../cli/run-program.ts'
import { sha256 } from '../proxy/support.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { requireProgram } from '../support/programs.ts'

export const PASSWORD = 'correct horse'

export const curlProgram = requireProgram('curl')

export const hasIPv6 = Object.values(networkInterfaces())
  .flat()
  .some((entry) => entry?.address === '::1')

/** A folder of this test file, gone when the file is done. */
export const folder = mkdtempSync(join(tmpdir(), 'e2e-'))

const endings: (() => unknown)[] = []

afterAll(async () => {
  await Promise.all(endings.map((end) => end()))
  rmSync(folder, { recursive: true })
})

/** Has `end` called when the file is done. (An `afterAll` inside of a hook would be forgotten.) */
export function whenDone(end: () => unknown): void {
  endings.push(end)
}

/** Runs `anytls ...args` until the file is done, with the password in its environment. */
export function run(args: readonly string[]): Program {
  const program = runProgram(args, { ANYTLS_PASSWORD: PASSWORD })
  whenDone(() => stop(program))
  return program
}

export interface ServerProgram {
  readonly program: Program
  /** `127.0.0.1:PORT`. */
  readonly address: string
  readonly port: number
  readonly link: string
  /** How many clients have connected and authenticated so far. */
  clients(): number
}

/** `anytls server` on a free port, or on `port`; its certificate is the same for the whole file. */
export async function startServer(
  flags: readonly string[] = [],
  { port = 0 } = {},
): Promise<ServerProgram> {
  const listen = ['-l', `127.0.0.1:${port}`, '--state-dir', join(folder, 'server')]
  const program = run(['server', ...listen, ...flags])
  const [, address = '', bound = ''] = await program.said(/listening on (127\.0\.0\.1:(\d+))/)
  const [, link = ''] = await program.said(/share link: (anytls:[^\s"]+)/)
  const clients = () => program.stderr().match(/a client has connected/g)?.length ?? 0
  return { program, address, port: Number(bound), link, clients }
}

export interface ClientProgram {
  readonly program: Program
  /** `127.0.0.1:PORT` of the local SOCKS5 and HTTP proxy. */
  readonly proxy: string
  readonly port: number
  /** How many TLS connections to the server have stood so far. */
  connections(): number
}

/** `anytls client` on a free port for the server behind `link`. */
export async function startClient(
  link: string,
  flags: readonly string[] = [],
  { state = 'client' } = {},
): Promise<ClientProgram> {
  const listen = ['-l', '127.0.0.1:0', '--state-dir', join(folder, state)]
  const program = run(['client', ...listen, '-s', link, ...flags])
  const [, proxy = '', port = ''] = await program.said(/listening on (127\.0\.0\.1:(\d+))/)
  const connections = () => program.stderr().match(/connected to the server/g)?.length ?? 0
  return { program, proxy, port: Number(port), connections }
}

/** Both, each with `flags`. */
export async function startPair(
  flags: readonly string[] = [],
): Promise<{ server: ServerProgram; client: ClientProgram }> {
  const server = await startServer(flags)
  return { server, client: await startClient(server.link, flags) }
}

/** An origin server in this process, until the file is done. */
export interface Origin {
  readonly port: number
  readonly server: Server
}

/** Binds a server to loopback until the file is done; what is still connected then is destroyed. */
export async function serve(server: Server, host = '127.0.0.1'): Promise<Origin> {
  server.on('connection', (socket) => {
    // Programs that are killed reset their connections.
    socket.on('error', () => {})
    socket.unref()
  })
  server.listen(0, host)
  await once(server, 'listening')
  whenDone(() => server.close())
  return { server, port: (server.address() as AddressInfo).port }
}

export function serveHttp(handler: http.RequestListener, host?: string): Promise<Origin> {
  return serve(http.createServer(handler), host)
}

export async function serveHttps(handler: http.RequestListener, host?: string): Promise<Origin> {
  return serve(https.createServer(await makeTestCertificate(), handler), host)
}

/** Answers with what was asked: method, Host header, path, and the body's length and digest. */
export function describeRequest(
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks)
    const { method = '', url = '', headers } = request
    response.end(`${method} ${headers.host ?? ''} ${url} ${body.length} ${sha256(body)}\n`)
  })
}

const CHUNK = 65_536

/** `GET /N` gets the first N bytes of `file`, in chunks as they are wanted; the rest is described. */
export function serveBytes(file: Buffer): http.RequestListener {
  return (request, response) => {
    if (request.method !== 'GET') {
      describeRequest(request, response)
      return
    }
    const bytes = file.subarray(0, Number(request.url?.slice(1)))
    const chunk = (_: unknown, index: number) => bytes.subarray(index * CHUNK, (index + 1) * CHUNK)
    response.setHeader('Content-Length', bytes.length)
    Readable.from(Array.from({ length: Math.ceil(bytes.length / CHUNK) }, chunk)).pipe(response)
  }
}

export const onLinux = process.platform === 'linux'

/** Files and sockets that a process has open. Linux alone can tell. */
export function fileDescriptors({ child }: Program): number {
  return readdirSync(`/proc/${child.pid}/fd`).length
}

/** Resident memory of a process in MiB. Linux alone can tell. */
export function residentMemory({ child }: Program): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024
}

/** Resolves when `condition` holds; rejects when it has not within `limit` ms. */
export async function until(condition: () => boolean, what: string, limit = 10_000): Promise<void> {
  const end = performance.now() + limit
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
    await setTimeout(20)
  }
}
